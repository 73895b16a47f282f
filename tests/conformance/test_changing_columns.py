"""Columns that a statement does not name: each result has its own names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database

QUERIES: dict[str, Callable[[], Any]] = {
    "string": lambda: "SELECT * FROM remade",
    "text": lambda: sa.text("SELECT * FROM remade"),
    "text with columns": lambda: sa.text("SELECT * FROM remade").columns(a=sa.String, b=sa.String),
    "select of text": lambda: sa.select(sa.text("*")).select_from(sa.text("remade")),
    "select of a literal": lambda: sa.select(sa.literal_column("*")).select_from(
        sa.table("remade")
    ),
    "select of a table's all": lambda: sa.select(sa.literal_column("remade.*")).select_from(
        sa.table("remade")
    ),
}


async def answer(database: Database, query: str, **columns: str) -> Any:
    """Make a table with *columns* and their values, and give the row that *query* finds."""
    described = ", ".join(f"{name} VARCHAR(20)" for name in columns)
    await database.execute(f"CREATE TABLE remade ({described})")
    values = ", ".join(f"'{value}'" for value in columns.values())
    await database.execute(f"INSERT INTO remade VALUES ({values})")
    row = await database.fetch_one(QUERIES[query]())
    await database.execute("DROP TABLE remade")
    return row


@pytest.mark.parametrize("query", QUERIES)
async def test_columns_in_another_order_keep_their_values(database: Database, query: str) -> None:
    first = await answer(database, query, a="1", b="2")
    second = await answer(database, query, b="2", a="1")

    assert (list(first), list(first.values())) == (["a", "b"], ["1", "2"])
    assert (list(second), list(second.values())) == (["b", "a"], ["2", "1"])
    assert dict(first) == dict(second) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("query", [name for name in QUERIES if name != "text with columns"])
async def test_columns_under_another_name_have_it(database: Database, query: str) -> None:
    assert dict(await answer(database, query, a="1")) == {"a": "1"}
    assert dict(await answer(database, query, c="1")) == {"c": "1"}
    assert dict(await answer(database, query, c="1", a="2")) == {"c": "1", "a": "2"}
    assert dict(await answer(database, query, c="1", b="2")) == {"c": "1", "b": "2"}


async def test_text_beside_columns_has_the_name_that_the_server_gives(database: Database) -> None:
    query = sa.select(sa.literal(1).label("one"), sa.text("2 AS two"))

    row = await database.fetch_one(query)

    assert row is not None
    assert dict(row) == {"one": 1, "two": 2}


async def test_text_whose_columns_are_named_may_give_them_in_another_order(
    database: Database,
) -> None:
    query = sa.text("SELECT '[2]' AS two, 1 AS one").columns(one=sa.Integer, two=sa.String)

    row = await database.fetch_one(query)

    assert row is not None
    assert dict(row) == {"one": 1, "two": "[2]"}


async def test_text_whose_columns_are_named_otherwise_has_the_names_given(
    database: Database,
) -> None:
    row = await database.fetch_one(sa.text("SELECT 1 AS x").columns(one=sa.Integer))

    assert row is not None
    assert dict(row) == {"one": 1}
