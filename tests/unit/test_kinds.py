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
