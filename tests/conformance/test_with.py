"""Strings that begin with WITH: their result is that of what follows."""

from __future__ import annotations

import sqlalchemy as sa

from databases import Database
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import accounts

_WITH = "WITH chosen (k) AS (SELECT 1) "


def _put(outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})


@requires("update_returning")
async def test_execute_gives_the_first_column_of_returning(
    database: Database, outside: Outside
) -> None:
    added = await database.execute(
        _WITH + "INSERT INTO accounts (id, balance) SELECT k, 10 FROM chosen RETURNING balance, id"
    )
    changed = await database.execute(
        _WITH + "UPDATE accounts SET balance = 20 WHERE id IN (SELECT k FROM chosen) "
        "RETURNING balance, id"
    )
    removed = await database.execute(
        _WITH + "DELETE FROM accounts WHERE id IN (SELECT k FROM chosen) RETURNING balance, id"
    )

    assert (added, changed, removed) == (10, 20, 20)
    assert outside.rows(sa.select(accounts)) == []


@requires("update_returning")
async def test_execute_gives_the_row_count_without_returning(
    database: Database, outside: Outside
) -> None:
    _put(outside)
    where = " WHERE id IN (SELECT k FROM chosen)"

    for count in (1, 1):
        assert await database.execute(_WITH + "UPDATE accounts SET balance = 20" + where) == count
    for count in (1, 0):
        assert await database.execute(_WITH + "DELETE FROM accounts" + where) == count


@requires("isolation_levels")
async def test_rows_that_are_locked_are_rows(database: Database, outside: Outside) -> None:
    _put(outside)
    query = _WITH + "SELECT balance FROM accounts, chosen WHERE id = k FOR UPDATE"

    async with database.transaction():
        result = await database.run(query)
        every = await database.fetch_all(query)
        each = [row async for row in database.iterate(query)]

    assert [dict(row) for row in result.rows] == [{"balance": 10}]
    assert every == each == result.rows
    assert result.rowcount == 1


@requires("select_returns_value")
async def test_execute_gives_the_value_of_a_row_that_is_locked(
    database: Database, outside: Outside
) -> None:
    _put(outside)
    query = _WITH + "SELECT balance FROM accounts WHERE id = 1 FOR UPDATE SKIP LOCKED"

    assert await database.execute(query) == 10


async def test_a_column_may_bear_the_name_of_a_change(database: Database) -> None:
    quote = {"postgresql": '""', "mysql": "``", "sqlite": "[]"}[database.url.dialect]
    query = _WITH + f"SELECT k AS {quote[0]}update{quote[1]} FROM chosen"

    result = await database.run(query)

    assert [dict(row) for row in result.rows] == [{"update": 1}]
