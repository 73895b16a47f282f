"""What the text of a statement tells of itself."""

from __future__ import annotations

import pytest

from databases.backends.common.kinds import (
    Kind,
    is_declarable,
    is_empty,
    is_session_neutral,
    kind_of,
    returns_rows,
)

COMMENTS = "/* one *** comment */\n-- and another\n" * 200


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1", Kind.SELECT),
        ("(SELECT 1)", Kind.SELECT),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Kind.SELECT),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", Kind.INSERT),
        ("WITH x AS (SELECT 1) DELETE FROM t", Kind.UPDATE),
        ("REPLACE INTO t VALUES (1)", Kind.INSERT),
        ("CREATE TABLE t (id int)", Kind.OTHER),
        ("", Kind.OTHER),
        ("42", Kind.OTHER),
    ],
)
@pytest.mark.parametrize("before", ["", " ", "/**/", "/***/", "-- x\n", COMMENTS])
def test_comments_do_not_hide_the_kind(before: str, text: str, kind: Kind) -> None:
    """Nor does the time to see that grow with each comment's ways to be read."""
    assert kind_of(before + text) is kind
    assert is_empty(before + text) == (text == "")
    assert is_declarable(before + text) == (kind is Kind.SELECT)
    assert returns_rows(before + text, kind) == (kind is Kind.SELECT)
    assert not is_session_neutral(before + "SET x = 1")


@pytest.mark.parametrize("text", ["", ";", " ; ; ", "-- x", "/* x; */ ;", "/* * / */", "--"])
def test_texts_that_say_nothing(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize("text", ["/* open", "/", "*/", "- x", "; SELECT 1", "'/* x */'"])
def test_texts_that_say_something(text: str) -> None:
    assert not is_empty(text)


def test_what_a_cursor_is_declared_for() -> None:
    assert is_declarable("VALUES (1)")
    assert is_declarable("TABLE t")
    assert is_declarable("WITH x AS (SELECT 'update t') SELECT * FROM x")
    assert not is_declarable("WITH x AS (UPDATE t SET a = 1 RETURNING a) SELECT * FROM x")
    assert not is_declarable("SHOW all")
    assert not is_declarable("EXPLAIN SELECT 1")


@pytest.mark.parametrize(
    ("text", "kind", "has_rows"),
    [
        ("SELECT * FROM x FOR UPDATE", Kind.SELECT, True),
        ("SELECT * FROM x FOR NO KEY UPDATE SKIP LOCKED", Kind.SELECT, True),
        ("(SELECT * FROM x) FOR UPDATE", Kind.SELECT, True),
        ("SELECT 1 AS `update`", Kind.SELECT, True),
        ('SELECT 1 AS "update"', Kind.SELECT, True),
        ("SELECT 1 AS [update]", Kind.SELECT, True),
        ("SELECT update, t.delete FROM t", Kind.SELECT, True),
        ("VALUES (1)", Kind.SELECT, True),
        ("TABLE x", Kind.SELECT, True),
        ("INSERT INTO t SELECT * FROM x", Kind.INSERT, False),
        ("INSERT INTO t SELECT 1 RETURNING id", Kind.INSERT, True),
        ("insert or ignore into t select 1 returning id", Kind.INSERT, True),
        ("REPLACE INTO t SELECT * FROM x", Kind.INSERT, False),
        ("UPDATE t SET a = 1", Kind.UPDATE, False),
        ("UPDATE t SET a = 1 RETURNING a", Kind.UPDATE, True),
        ("UPDATE t SET a = 'returning'", Kind.UPDATE, False),
        ("UPDATE t SET a = [returning], b = `returning`, c = $$returning$$", Kind.UPDATE, False),
        ("DELETE FROM t WHERE id IN (SELECT 1)", Kind.UPDATE, False),
        ("DELETE FROM t RETURNING id", Kind.UPDATE, True),
        ("MERGE INTO t USING x ON true WHEN MATCHED THEN DELETE", Kind.UPDATE, False),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        "WITH x AS (SELECT 1) ",
        "with x(update, b) as (select 1, (2))\n",
        "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 2), y AS (SELECT ')') ",
        "WITH /* ( */ update AS (SELECT 1), -- (\n delete AS (SELECT 2) ",
        "WITH \"insert\" AS (SELECT 1), `update` AS (SELECT '('), [delete] AS (SELECT 2)",
        "WITH x AS NOT MATERIALIZED (SELECT a[1], b[f(c[1])], '[' FROM t) ",
        "WITH x AS (SELECT $$($$, $a$ ( $$ $a$, ARRAY['x'], $1) ",
        "WITH x AS (SELECT 1) SEARCH DEPTH FIRST BY update SET ordered ",
        "WITH x AS (SELECT 1) CYCLE id SET is_cycle TO 'Y' DEFAULT 'N' USING path ",
        "WITH x AS (SELECT * FROM t FOR UPDATE) ",
    ],
)
def test_what_follows_a_with_says_the_kind(
    before: str, text: str, kind: Kind, has_rows: bool
) -> None:
    assert kind_of(before + text) is kind
    assert returns_rows(before + text, kind) == has_rows


@pytest.mark.parametrize(
    "part", ["INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t RETURNING id"]
)
def test_changes_inside_a_with(part: str) -> None:
    query = f"WITH x AS ({part}), y AS (SELECT 1) "

    assert kind_of(query + "SELECT * FROM x") is Kind.SELECT
    assert not is_declarable(query + "SELECT * FROM x")
    assert kind_of(query + "UPDATE t SET b = 1") is Kind.UPDATE
    assert not returns_rows(query + "UPDATE t SET b = 1", Kind.UPDATE)


def test_a_cursor_is_declared_for_rows_that_are_locked() -> None:
    assert is_declarable("WITH x AS (SELECT 1) SELECT * FROM t, x FOR UPDATE")
    assert not is_declarable("WITH x AS (SELECT 1) UPDATE t SET a = 1 RETURNING a")


@pytest.mark.parametrize(
    "piece",
    ["'", '"', "`", "[", "$", "$$", "$a$", "/*", "/", "--", "(", ")", ",", "x ", "x", "[(", "a[",
     "returning ", "update ", "with ", "\\", "'/*", "--/*", "$a", "*/"],
)  # fmt: skip
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """The square of the length would take minutes."""
    for start in ("", "WITH ", "WITH x AS (", "UPDATE t RETURNING ", "SELECT "):
        text = start + piece * 20_000 + " RETURNING"
        returns_rows(text, kind_of(text))
        is_declarable(text)
        is_session_neutral(text)
