"""Transactions as decorators: one object shared by many concurrent calls."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import accounts, codes


async def insert(database: Database, code: str) -> None:
    await database.execute(codes.insert().values(code=code))


def committed(outside: Outside) -> list[str]:
    return outside.column(codes.c.code)


async def test_it_commits(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def work(code: str) -> str:
        await insert(database, code)
        assert committed(outside) == []
        return code.upper()

    assert await work("a") == "A"
    assert committed(outside) == ["a"]


async def test_it_rolls_back_on_an_exception(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def work() -> None:
        await insert(database, "a")
        raise LookupError("body")

    with pytest.raises(LookupError, match="body"):
        await work()

    assert committed(outside) == []


async def test_it_rolls_back_when_asked_to(database: Database, outside: Outside) -> None:
    @database.transaction(force_rollback=True)
    async def work() -> None:
        await insert(database, "a")

    await work()

    assert committed(outside) == []


async def test_it_keeps_what_the_function_is(database: Database) -> None:
    """FastAPI reads the signature, debuggers the name."""

    @database.transaction()
    async def work(code: str, *, count: int = 3) -> str:
        """Do the work."""
        return code * count

    assert work.__name__ == "work"
    assert work.__doc__ == "Do the work."
    assert list(inspect.signature(work).parameters) == ["code", "count"]
    assert asyncio.iscoroutinefunction(work)
    assert await work("x", count=2) == "xx"


async def test_it_decorates_methods(database: Database, outside: Outside) -> None:
    class Service:
        def __init__(self, prefix: str) -> None:
            self.prefix = prefix

        @database.transaction()
        async def work(self, code: str) -> str:
            await insert(database, self.prefix + code)
            return self.prefix

    assert await Service("x").work("a") == "x"
    assert committed(outside) == ["xa"]


async def test_it_can_be_made_before_connecting(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()

    @database.transaction()
    async def work(code: str) -> None:
        await insert(database, code)

    for code in "ab":
        async with database:
            await work(code)

    assert committed(outside) == ["a", "b"]


async def test_a_decorated_function_calls_itself(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def descend(depth: int) -> None:
        await insert(database, str(depth))
        if depth < 5:
            await descend(depth + 1)

    await descend(1)

    assert committed(outside) == ["1", "2", "3", "4", "5"]


async def test_an_inner_call_of_itself_rolls_back_alone(
    database: Database, outside: Outside
) -> None:
    @database.transaction()
    async def descend(depth: int) -> None:
        await insert(database, str(depth))
        if depth == 3:
            raise LookupError("deep")
        try:
            await descend(depth + 1)
        except LookupError:
            if depth == 2:
                raise

    await descend(1)

    assert committed(outside) == ["1"]


async def test_one_object_decorates_two_functions(database: Database, outside: Outside) -> None:
    transaction = database.transaction()

    @transaction
    async def outer() -> None:
        await insert(database, "outer")
        with pytest.raises(LookupError):
            await inner()

    @transaction
    async def inner() -> None:
        await insert(database, "inner")
        raise LookupError("inner")

    await outer()

    assert committed(outside) == ["outer"]


async def test_many_concurrent_calls(database: Database, outside: Outside) -> None:
    @database.transaction()
    async def work(key: int) -> int:
        await database.fetch_val("SELECT 1")
        await database.execute(accounts.insert().values(id=key, balance=key))
        if key % 3 == 0:
            raise LookupError(str(key))
        found: int = await database.fetch_val(
            sa.select(accounts.c.balance).where(accounts.c.id == key)
        )
        return found

    results = await within(
        asyncio.gather(*(work(key) for key in range(60)), return_exceptions=True), 50
    )

    failed = {key for key in range(60) if isinstance(results[key], LookupError)}
    assert failed == set(range(0, 60, 3))
    assert [results[key] for key in range(60) if key not in failed] == [
        key for key in range(60) if key % 3
    ]
    assert outside.column(accounts.c.id) == [key for key in range(60) if key % 3]
    assert checked_out(database) == 0


async def test_200_tasks_through_one_function_keep_the_sum(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(accounts, *({"id": key, "balance": 100} for key in range(10)))
    mode: dict[str, Any] = {"mode": "immediate"} if driver.can("modes") else {}
    refused = itertools.count()
    async with make_database() as database:

        @database.transaction(**mode)
        async def transfer(source: int, target: int, amount: int) -> None:
            # In the order of their keys: two transfers cannot wait for each other.
            for key in sorted((source, target)):
                change = amount if key == target else -amount
                query = accounts.update().where(accounts.c.id == key)
                await database.execute(query.values(balance=accounts.c.balance + change))
            if amount == 13:
                next(refused)
                raise LookupError("refused")

        calls = (transfer(key % 10, (key * 7 + 3) % 10, key % 20) for key in range(200))
        results = await within(asyncio.gather(*calls, return_exceptions=True), 50)

    errors = [result for result in results if result is not None]
    assert [str(error) for error in errors] == ["refused"] * 10
    assert next(refused) == 10
    assert outside.value(sa.select(sa.func.sum(accounts.c.balance))) == 1000


async def test_calls_in_a_task_group_inside_a_transaction(
    database: Database, outside: Outside
) -> None:
    """Child tasks have connections of their own: their transactions are roots, not savepoints."""

    @database.transaction()
    async def work(code: str) -> None:
        await insert(database, code)

    async with database.transaction(force_rollback=True):
        await database.fetch_val("SELECT 1")
        await within(asyncio.gather(work("a"), work("b")))

    assert committed(outside) == ["a", "b"]
