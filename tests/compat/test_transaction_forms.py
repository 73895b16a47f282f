"""``transaction()``: by context manager, by hand, and as a decorator."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.core import Transaction
from tests.conftest import MakeDatabase
from tests.support.outside import Outside
from tests.support.tables import accounts

INSERT = accounts.insert()


def _row(number: int) -> dict[str, int]:
    return {"id": number, "balance": number}


async def test_transaction_is_not_a_coroutine(database: Database) -> None:
    assert isinstance(database.transaction(), Transaction)


async def test_context_manager_commits(database: Database, outside: Outside) -> None:
    async with database.transaction() as transaction:
        assert isinstance(transaction, Transaction)
        await database.execute(INSERT, _row(1))

    assert outside.column(accounts.c.id) == [1]


async def test_context_manager_rolls_back_after_an_error(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            await database.execute(INSERT, _row(1))
            raise ZeroDivisionError

    assert outside.count(accounts) == 0


async def test_context_manager_with_force_rollback_never_commits(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        await database.execute(INSERT, _row(1))
        assert await database.fetch_val(sa.select(accounts.c.id)) == 1

    assert outside.count(accounts) == 0


async def test_inner_transaction_rolls_back_alone(database: Database, outside: Outside) -> None:
    async with database.transaction():
        await database.execute(INSERT, _row(1))
        with pytest.raises(ZeroDivisionError):
            async with database.transaction():
                await database.execute(INSERT, _row(2))
                raise ZeroDivisionError
        await database.execute(INSERT, _row(3))

    assert outside.column(accounts.c.id) == [1, 3]


async def test_low_level_form_commits(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()
    await database.execute(INSERT, _row(1))
    await transaction.commit()

    assert isinstance(transaction, Transaction)
    assert outside.column(accounts.c.id) == [1]


async def test_low_level_form_rolls_back(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()
    await database.execute(INSERT, _row(1))
    await transaction.rollback()

    assert outside.count(accounts) == 0


async def test_low_level_form_can_be_started_by_name(database: Database, outside: Outside) -> None:
    transaction = database.transaction()

    started = await transaction.start()
    await database.execute(INSERT, _row(1))
    await transaction.commit()

    assert started is transaction
    assert outside.column(accounts.c.id) == [1]


async def test_low_level_form_nests(database: Database, outside: Outside) -> None:
    outer = await database.transaction()
    await database.execute(INSERT, _row(1))
    inner = await database.transaction()
    await database.execute(INSERT, _row(2))
    await inner.rollback()
    await outer.commit()

    assert outside.column(accounts.c.id) == [1]


async def test_low_level_form_can_end_in_another_task(database: Database, outside: Outside) -> None:
    async def begin() -> Transaction:
        transaction = await database.transaction()
        await database.execute(INSERT, _row(1))
        return transaction

    transaction = await asyncio.create_task(begin())
    await asyncio.create_task(transaction.commit())

    assert outside.column(accounts.c.id) == [1]


async def test_decorator_keeps_the_function_and_its_result(database: Database) -> None:
    @database.transaction()
    async def transfer(amount: int, *, note: str = "") -> str:
        """Move money."""
        return f"{amount}{note}"

    assert transfer.__name__ == "transfer"
    assert transfer.__doc__ == "Move money."
    assert inspect.iscoroutinefunction(transfer)
    assert list(inspect.signature(transfer).parameters) == ["amount", "note"]
    assert await transfer(5, note="!") == "5!"


async def test_decorator_commits_and_rolls_back(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def insert(number: int, *, fail: bool) -> None:
        await database.execute(INSERT, _row(number))
        if fail:
            raise ZeroDivisionError

    await insert(1, fail=False)
    with pytest.raises(ZeroDivisionError):
        await insert(2, fail=True)

    assert outside.column(accounts.c.id) == [1]


async def test_decorator_with_force_rollback(database: Database, outside: Outside) -> None:
    @database.transaction(force_rollback=True)
    async def insert() -> None:
        await database.execute(INSERT, _row(1))

    await insert()

    assert outside.count(accounts) == 0


async def test_decorator_is_made_before_connect(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()

    @database.transaction()
    async def insert() -> None:
        await database.execute(INSERT, _row(1))

    await database.connect()
    await insert()

    assert outside.column(accounts.c.id) == [1]


async def test_decorated_function_calls_itself(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def insert(number: int) -> None:
        await database.execute(INSERT, _row(number))
        if number < 4:
            await insert(number + 1)

    await insert(1)

    assert outside.column(accounts.c.id) == [1, 2, 3, 4]


async def test_decorator_serves_methods_and_partials(database: Database, outside: Outside) -> None:
    class Store:
        @database.transaction()
        async def insert(self, number: int) -> None:
            await database.execute(INSERT, _row(number))

    await Store().insert(1)
    await functools.partial(Store().insert, 2)()

    assert outside.column(accounts.c.id) == [1, 2]


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_options_are_those_of_the_transaction(database: Database, driver: Any) -> None:
    read = driver.text(postgresql="SHOW transaction_isolation", mysql="SELECT 'serializable'")

    async with database.transaction(isolation="serializable"):
        assert await database.fetch_val(read) == "serializable"
