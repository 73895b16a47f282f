"""The turn to write, which the tasks of one SQLite database take: nobody keeps it for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import texts, until
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import notes
from tests.support.watching import patience

pytestmark = [pytest.mark.law, requires("file")]

INSERT = "INSERT INTO notes (id, text) VALUES (1, 'own')"


@pytest.fixture
async def patient(make_database: MakeDatabase) -> AsyncIterator[Database]:
    """Give a database whose writers wait for long."""
    async with make_database(timeout=60) as database:
        yield database


async def in_time(work: Awaitable[Any]) -> Any:
    """Await *work* in a task of its own, and by far not until the patience of a writer ends."""
    return await asyncio.wait_for(asyncio.ensure_future(work), patience(5))


async def end(connection: Any, how: str) -> None:
    """End the transaction that is open on *connection*."""
    if how == "commit":
        await connection.raw_connection.commit()
    elif how == "rollback":
        await connection.raw_connection.rollback()
    elif how == "fetch":
        await connection.fetch_all("COMMIT")
    elif how == "iterate":
        assert [row async for row in connection.iterate("COMMIT")] == []
    else:
        with contextlib.suppress(sqlite3.IntegrityError):
            await connection.fetch_val(INSERT.replace("INSERT", "INSERT OR ROLLBACK"))


ENDS = ["commit", "rollback", "fetch", "iterate", "or rollback"]


@pytest.mark.parametrize("how", ENDS)
async def test_it_ends_with_the_transaction_however_that_ends(patient: Database, how: str) -> None:
    async with patient.connection() as connection:
        await connection.execute("BEGIN")
        await connection.execute(INSERT)
        await end(connection, how)

        await in_time(patient.execute(notes.insert().values(text="inside")))

    await in_time(patient.execute(notes.insert().values(text="after")))


@pytest.mark.parametrize("how", ENDS)
async def test_who_waits_for_it_already_gets_it_too(
    patient: Database, outside: Outside, how: str
) -> None:
    pool: Any = patient._backend._pool  # type: ignore[attr-defined]  # ours has one
    async with patient.connection() as connection:
        await connection.execute("BEGIN")
        await connection.execute(INSERT)
        waiting = [
            asyncio.ensure_future(patient.execute(notes.insert().values(text="waited")))
            for _ in range(3)
        ]
        await until(lambda: len(pool._turn._line) == len(waiting), "the writers in the line")
        await end(connection, how)

        await in_time(asyncio.gather(*waiting))

    assert texts(outside).count("waited") == len(waiting)


async def test_a_transaction_that_only_reads_does_not_take_it(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path / 'wal.db'}"
    async with Database(url, journal_mode="wal", timeout=60) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        async with database.connection() as connection:
            await connection.execute("BEGIN")
            await connection.fetch_all("SELECT * FROM notes")

            await in_time(database.execute(INSERT))

            await connection.execute("COMMIT")


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA table_info(notes)",
        "ATTACH ':memory:' AS other",
        "BEGIN",
        "begin deferred transaction;",
        "SAVEPOINT one",
        "CREATE TEMP TABLE passing (id INTEGER)",
    ],
)
async def test_what_does_not_write_does_not_wait_for_it(patient: Database, statement: str) -> None:
    async with patient.transaction():
        await patient.execute(INSERT)

        await in_time(patient.execute(statement))


async def test_a_transaction_begun_by_hand_waits_for_it_before_it_writes(
    patient: Database, outside: Outside
) -> None:
    pool: Any = patient._backend._pool  # type: ignore[attr-defined]  # ours has one

    async def write() -> None:
        async with patient.connection() as connection:
            await connection.execute("BEGIN")
            await connection.execute(notes.insert().values(text="waited"))
            await connection.execute("COMMIT")

    async with patient.transaction():
        await patient.execute(INSERT)
        waiting = asyncio.ensure_future(write())
        await until(lambda: pool._turn._line, "the writer in the line")
    await in_time(waiting)

    assert texts(outside) == ["own", "waited"]
