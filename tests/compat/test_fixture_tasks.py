"""Set-up, test and tear-down in different tasks, as pytest-asyncio runs async fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database
from tests.support.outside import Outside
from tests.support.tables import notes

IDS = sa.select(notes.c.id).order_by(notes.c.id)
Step = Callable[[], Coroutine[Any, Any, Any]]


async def _ids(database: Database) -> list[Any]:
    return [row[0] for row in await database.fetch_all(IDS)]


async def _each_in_a_task(*steps: Step) -> list[Any]:
    """Run the steps one after another, each in a task of its own."""
    return [await asyncio.create_task(step()) for step in steps]


@pytest_asyncio.fixture
async def rolled_back(outside: Outside) -> AsyncIterator[Database]:
    """Connect with ``force_rollback``, in whatever task the plugin runs this."""
    database = Database(outside.url, force_rollback=True)
    await database.connect()
    await database.execute(notes.insert(), {"id": 1})
    yield database
    await database.disconnect()
    assert outside.count(notes) == 0


@pytest_asyncio.fixture
async def in_transaction(outside: Outside) -> AsyncIterator[Database]:
    """Hold a transaction around the test, begun by hand."""
    async with Database(outside.url) as database:
        transaction = await database.transaction(force_rollback=True)
        yield database
        await transaction.rollback()
    assert outside.count(notes) == 0


@pytest.mark.parametrize("attempt", [1, 2])
async def test_fixture_with_force_rollback_isolates_tests(
    rolled_back: Database, attempt: int
) -> None:
    assert await _ids(rolled_back) == [1]

    await rolled_back.execute(notes.insert(), {"id": 2})
    async with rolled_back.transaction():
        await rolled_back.execute(notes.insert(), {"id": 3})

    assert await _ids(rolled_back) == [1, 2, 3]


async def test_decorated_function_under_the_fixture(rolled_back: Database) -> None:
    @rolled_back.transaction()
    async def add(number: int) -> None:
        await rolled_back.execute(notes.insert(), {"id": number})

    await asyncio.gather(*(add(number) for number in range(2, 8)))

    assert await _ids(rolled_back) == list(range(1, 8))


async def test_fixture_that_holds_a_transaction(in_transaction: Database) -> None:
    assert await in_transaction.fetch_val("SELECT 1") == 1


async def test_connect_use_and_disconnect_in_three_tasks(outside: Outside) -> None:
    database = Database(outside.url)

    async def use() -> list[Any]:
        async with database.transaction():
            await database.execute(notes.insert(), {"id": 1})
        return await _ids(database)

    results = await _each_in_a_task(database.connect, use, database.disconnect)

    assert results == [None, [1], None]
    assert outside.count(notes) == 1


async def test_force_rollback_in_three_tasks(outside: Outside) -> None:
    database = Database(outside.url, force_rollback=True)

    async def use() -> list[Any]:
        async with database.transaction():
            await database.execute(notes.insert(), {"id": 1})
        with pytest.raises(ZeroDivisionError):
            async with database.transaction():
                await database.execute(notes.insert(), {"id": 2})
                raise ZeroDivisionError
        return await _ids(database)

    async def look() -> list[Any]:
        return await _ids(database)

    results = await _each_in_a_task(database.connect, use, look, database.disconnect)

    assert results == [None, [1], [1], None]
    assert outside.count(notes) == 0


async def test_force_rollback_in_three_tasks_twice(outside: Outside) -> None:
    database = Database(outside.url, force_rollback=True)

    async def use() -> list[Any]:
        await database.execute(notes.insert(), {"id": 1})
        return await _ids(database)

    for _ in range(2):
        results = await _each_in_a_task(database.connect, use, database.disconnect)
        assert results == [None, [1], None]

    assert outside.count(notes) == 0


async def test_transaction_begins_in_one_task_and_ends_in_another(outside: Outside) -> None:
    async with Database(outside.url) as database:
        transaction = database.transaction()

        async def begin() -> None:
            await transaction.start()
            await database.execute(notes.insert(), {"id": 1})

        await _each_in_a_task(begin, transaction.rollback)

        assert await _ids(database) == []


async def test_fixture_task_that_ended_is_no_sibling(outside: Outside) -> None:
    """A transaction that set-up left open encloses those of the test: nobody waits."""
    database = Database(outside.url, force_rollback=True)
    outer = database.transaction(force_rollback=True)

    async def set_up() -> None:
        await database.connect()
        await outer.start()

    async def test() -> list[Any]:
        async with database.transaction():
            await database.execute(notes.insert(), {"id": 1})
        return await _ids(database)

    async def tear_down() -> list[Any]:
        await outer.rollback()
        left = await _ids(database)
        await database.disconnect()
        return left

    results = await _each_in_a_task(set_up, test, tear_down)

    assert results == [None, [1], []]


async def test_context_manager_is_entered_and_left_by_hand_in_two_tasks(
    outside: Outside,
) -> None:
    database = Database(outside.url, force_rollback=True)

    async def leave() -> None:
        await database.__aexit__(None, None, None)

    results = await _each_in_a_task(database.__aenter__, lambda: _ids(database), leave)

    assert results == [database, [], None]
    assert not database.is_connected
