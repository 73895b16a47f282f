"""Many tasks at once: more than connections, mixing queries and transactions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, until_waiting, within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import accounts, codes


async def test_more_tasks_than_connections(make_database: MakeDatabase) -> None:
    async with make_database(max_size=3) as database:

        async def ask(number: int) -> int:
            value: int = await database.fetch_val("SELECT :n + 0", {"n": number})
            return value

        answers = await within(asyncio.gather(*(ask(number) for number in range(200))))

        assert answers == list(range(200))
        assert database.pool_stats().size <= 3


async def test_more_transactions_than_connections(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    mode: dict[str, Any] = {"mode": "immediate"} if driver.can("modes") else {}
    async with make_database(max_size=2) as database:

        async def work(key: int) -> None:
            async with database.transaction(**mode):
                await database.execute(accounts.insert().values(id=key, balance=0))
                await database.fetch_val("SELECT 1")

        await within(asyncio.gather(*(work(key) for key in range(50))), 30)

    assert outside.column(accounts.c.id) == list(range(50))


async def test_queries_transactions_nesting_and_rollbacks_mixed(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    mode: dict[str, Any] = {"mode": "immediate"} if driver.can("modes") else {}

    async def work(key: int) -> None:
        kind = key % 4
        if kind == 0:
            await database.execute(accounts.insert().values(id=key, balance=kind))
        elif kind == 1:
            async with database.transaction(force_rollback=True, **mode):
                await database.execute(accounts.insert().values(id=key, balance=kind))
        elif kind == 2:
            async with database.transaction(**mode):
                await database.execute(accounts.insert().values(id=key, balance=kind))
                with pytest.raises(LookupError):
                    async with database.transaction():
                        own = accounts.update().where(accounts.c.id == key)
                        await database.execute(own.values(balance=-1))
                        raise LookupError
        else:
            assert await database.fetch_val("SELECT :n + 0", {"n": key}) == key

    await within(asyncio.gather(*(work(key) for key in range(100))), 50)

    assert outside.column(accounts.c.id) == [key for key in range(100) if key % 4 in (0, 2)]
    assert outside.value(sa.select(sa.func.min(accounts.c.balance))) == 0
    assert checked_out(database) == 0


async def test_each_task_gets_its_own_rows(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *({"id": key, "balance": key * 7} for key in range(50)))

    async def read(key: int) -> bool:
        row = await database.fetch_one(accounts.select().where(accounts.c.id == key))
        assert row is not None
        rows = await database.fetch_all(
            "SELECT balance FROM accounts WHERE id IN :ids ORDER BY id", {"ids": [key, 49]}
        )
        return bool(row["balance"] == key * 7 and rows[0]["balance"] == key * 7)

    assert all(await within(asyncio.gather(*(read(key) for key in range(50))), 30))


async def test_an_error_in_one_task_does_not_reach_the_others(
    database: Database, driver: DriverCase
) -> None:
    async def work(number: int) -> int:
        if number % 5 == 0:
            await database.fetch_val("SELECT nothing FROM nowhere")
        value: int = await database.fetch_val("SELECT :n + 0", {"n": number})
        return value

    results = await within(
        asyncio.gather(*(work(number) for number in range(50)), return_exceptions=True)
    )

    for number, result in enumerate(results):
        if number % 5 == 0:
            assert isinstance(result, driver.error)
        else:
            assert result == number


async def test_cancelled_tasks_leave_the_others_and_the_pool_alone(
    make_database: MakeDatabase,
) -> None:
    async with make_database(max_size=2) as database:

        async def work(number: int) -> int:
            async with database.connection() as connection:
                value: int = await connection.fetch_val("SELECT :n + 0", {"n": number})
                return value

        tasks = [asyncio.create_task(work(number)) for number in range(40)]
        await asyncio.wait({tasks[0]}, timeout=10)
        for task in tasks[1::2]:
            task.cancel()
        results = await within(asyncio.gather(*tasks, return_exceptions=True))

        assert results[::2] == list(range(0, 40, 2))
        assert await within(database.fetch_val("SELECT 1")) == 1
        assert checked_out(database) == 0


async def test_waiting_tasks_are_served_in_order(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        order: list[int] = []

        async def work(number: int) -> None:
            async with database.connection():
                order.append(number)

        async with database.connection():
            tasks = [asyncio.create_task(work(number)) for number in range(10)]
            await until_waiting(database, 10)
        await within(asyncio.gather(*tasks))

    assert order == list(range(10))


async def test_a_task_group_inside_a_connection(database: Database, outside: Outside) -> None:
    async with database.connection():
        await within(
            asyncio.gather(
                *(database.execute(codes.insert().values(code=str(n))) for n in range(20))
            )
        )

    assert outside.count(codes) == 20


async def test_counting_with_row_locks_loses_nothing(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 0})
    mode: dict[str, Any] = {"mode": "immediate"} if driver.can("modes") else {}
    async with make_database(max_size=5) as database:

        async def increase() -> None:
            async with database.transaction(**mode):
                query = sa.select(accounts.c.balance).where(accounts.c.id == 1).with_for_update()
                balance = await database.fetch_val(query)
                await database.execute(accounts.update().values(balance=balance + 1))

        await within(asyncio.gather(*(increase() for _ in range(40))), 50)

    assert outside.value(sa.select(accounts.c.balance)) == 40


async def test_two_databases_at_once(make_database: MakeDatabase, outside: Outside) -> None:
    async with make_database() as first, make_database() as second:

        async def work(database: Database, code: str) -> None:
            async with database.transaction(force_rollback=database is second):
                await database.execute(codes.insert().values(code=code))

        for number in range(5):
            await work(second, f"second {number}")
            await work(first, f"first {number}")

    assert outside.column(codes.c.code) == [f"first {number}" for number in range(5)]


async def test_transactions_of_two_databases_nest_apart(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database() as first, make_database() as second:
        async with first.transaction():
            assert await first.fetch_val("SELECT count(*) FROM codes") == 0
            async with second.transaction():
                assert await second.fetch_val("SELECT count(*) FROM codes") == 0
            await first.execute(codes.insert().values(code="first"))

    assert outside.column(codes.c.code) == ["first"]
