"""Scripts of SQLite: cut into statements where SQLite would do it, and in no time."""

from __future__ import annotations

import random
import sqlite3
import time

import pytest

from databases import Database
from databases.backends.dialects.sqlite import _statements
from tests.support.watching import patience

WORDS = [
    *"; ; ; ' \" ` [ ] -- /* */ x create CREATE trigger temp TEMPORARY end END begin".split(),
    *"insert a-b * / ( ) -".split(),
    *(" ", "\n", "create trigger t begin ", "; end;", "/*;*/", "--;\n", "\u00e9"),
]


def cut(script: str) -> list[str]:
    """Cut *script* as SQLite's own function says, in quadratic time."""
    statements = []
    start = 0
    for end, character in enumerate(script, 1):
        if character == ";" and sqlite3.complete_statement(script[start:end]):
            statements.append(script[start:end])
            start = end
    return [*statements, script[start:]] if script[start:].strip() else statements


@pytest.mark.parametrize(
    "script",
    [
        "",
        ";",
        " -- nothing",
        "SELECT 1; SELECT 2",
        "INSERT INTO t VALUES ('a;b', \"c;d\", `e;f`, [g;h]); /* ; */ SELECT 1 -- ;\n;",
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN UPDATE t SET x = 1; DELETE FROM t; END; SELECT 1",
        "/* a */ create temp trigger a after insert on t begin\nselect 1; -- b\nend ; SELECT 1;",
        "CREATE TRIGGER a BEGIN SELECT CASE x WHEN 1 THEN 2 END; END; SELECT 1",
        "EXPLAIN CREATE TRIGGER a BEGIN SELECT 1; END; SELECT 1",
        "CREATE TABLE trigger_of (id); SELECT 1",
    ],
)
def test_a_script_is_cut_as_sqlite_does(script: str) -> None:
    assert list(_statements(script)) == cut(script)


def test_a_script_of_anything_is_cut_as_sqlite_does() -> None:
    chosen = random.Random(5)
    for _ in range(3000):
        script = "".join(chosen.choice(WORDS) for _ in range(chosen.randrange(1, 14)))
        assert list(_statements(script)) == cut(script), script


@pytest.mark.parametrize(
    "script",
    [
        "INSERT INTO t VALUES ('" + "&nbsp;" * 100_000 + "')",
        "CREATE TRIGGER t BEGIN " + "SELECT 1;" * 50_000 + " END;",
        "SELECT 1;" * 50_000,
        "/*" + "*;" * 100_000,
        "--;\n" * 100_000 + ";",
        "CREATE " + " " * 200_000 + ";",
    ],
    ids=["text", "trigger", "many", "comment", "comments", "spaces"],
)
def test_a_long_script_is_cut_at_once(script: str) -> None:
    begun = time.perf_counter()

    assert list(_statements(script))

    assert time.perf_counter() - begun < patience(2)


@pytest.mark.asyncio
async def test_a_trigger_in_a_script_is_one_statement() -> None:
    script = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, seen INTEGER);"
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN"
        " UPDATE t SET seen = 1; UPDATE t SET seen = seen + 1; END;"
        "INSERT INTO t (id) VALUES (1)"
    )
    async with Database("sqlite://") as database:
        await database.execute(script)

        assert await database.fetch_val("SELECT seen FROM t") == 2
