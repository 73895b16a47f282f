"""Tasks that share functions, connections, generators and transactions, and are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import has_places, texts, until_not, works, write
from tests.faults.operations import MANY_ROWS, NUMBERS
from tests.support.checks import within
from tests.support.drivers import requires
from tests.support.outside import Outside

pytestmark = pytest.mark.law

TASKS = 40


@pytest.fixture
async def pooled(make_database: MakeDatabase) -> Database:
    """Give a connected database with room for three connections."""
    database = make_database(max_size=3)
    await database.connect()
    return database


@requires("server")
async def test_one_decorated_function_called_by_many_tasks_and_by_itself(
    pooled: Database, outside: Outside
) -> None:
    @pooled.transaction()
    async def write_down(name: str, depth: int, fails: int) -> None:
        await write(pooled, f"{name}.{depth}")
        if depth == fails:
            raise ZeroDivisionError
        if depth:
            await write_down(name, depth - 1, fails)

    async def task(number: int) -> None:
        # A third fails in the middle: nothing of it is kept.
        with contextlib.suppress(ZeroDivisionError):
            await write_down(f"{number}", 3, 1 if number % 3 == 0 else -1)

    await within(asyncio.gather(*(task(number) for number in range(TASKS))), 30)

    kept = [number for number in range(TASKS) if number % 3]
    assert texts(outside) == sorted(f"{number}.{depth}" for number in kept for depth in range(4))
    await has_places(pooled, 3)


async def test_a_decorated_function_that_is_cancelled_in_some_tasks(
    pooled: Database, outside: Outside
) -> None:
    if outside.case.can("file"):
        pytest.skip("writers of a file exclude each other while they sleep")

    @pooled.transaction()
    async def write_down(name: str) -> None:
        await write(pooled, name)
        await asyncio.sleep(0.005)
        await write(pooled, name)

    tasks = [asyncio.create_task(write_down(f"{number}")) for number in range(TASKS)]
    chosen = random.Random(7)
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.003)
        chosen.choice(tasks).cancel()

    await until_not(outside.open_transactions, "transactions left open")
    expected = {f"{n}" for n, task in enumerate(tasks) if not task.cancelled()}
    found = texts(outside)
    assert all(found.count(text) == 2 for text in found)
    # A commit may have been under way when its task was cancelled.
    assert expected <= set(found)
    await has_places(pooled, 3)


async def test_a_connection_handed_to_child_tasks_that_are_cancelled(
    pooled: Database, outside: Outside
) -> None:
    async with pooled.connection() as connection:

        async def child(number: int) -> None:
            async with connection.transaction():
                await write(connection, f"{number}")
                await asyncio.sleep(0.002)
                await write(connection, f"{number}")

        tasks = [asyncio.create_task(child(number)) for number in range(9)]
        await asyncio.sleep(0.01)
        for task in tasks[::3]:
            task.cancel()
        await within(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert await connection.fetch_val("SELECT 1") == 1

    found = texts(outside)
    assert all(found.count(text) == 2 for text in found)
    survivors = {f"{n}" for n, task in enumerate(tasks) if not task.cancelled()}
    assert survivors <= set(found)
    assert len(survivors) >= 6
    await works(pooled, outside)


async def test_a_cancelled_child_inside_the_transaction_of_its_parent(
    pooled: Database, outside: Outside
) -> None:
    """All of the parent's is kept, or its block says that it is not."""
    kept = True
    try:
        async with pooled.connection() as connection, connection.transaction():
            await write(connection, "parent")

            async def child() -> None:
                async with connection.transaction():
                    await write(connection, "child")
                    await asyncio.sleep(10)

            task = asyncio.create_task(child())
            await asyncio.sleep(0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await write(connection, "parent")
    except Exception:
        kept = False

    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside) == (["parent", "parent"] if kept else [])
    assert kept, "the savepoint could have been rolled back: nothing was interrupted"
    await works(pooled, outside)


async def test_siblings_do_not_see_each_other(pooled: Database, outside: Outside) -> None:
    began, seen = asyncio.Event(), asyncio.Event()

    async def writer() -> None:
        async with pooled.transaction(force_rollback=True):
            await write(pooled, "invisible")
            began.set()
            await seen.wait()

    async def reader() -> None:
        await began.wait()
        assert await pooled.fetch_val("SELECT count(*) FROM notes") == 0
        if outside.case.can("server"):
            async with pooled.transaction():
                await write(pooled, "visible")
        seen.set()

    await within(asyncio.gather(writer(), reader()))

    assert texts(outside) == (["visible"] if outside.case.can("server") else [])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="task groups are of Python 3.11")
async def test_a_task_group_that_fails_rolls_back_its_transactions(
    pooled: Database, outside: Outside
) -> None:
    async def block(number: int) -> None:
        async with pooled.transaction():
            if outside.case.can("server"):
                await write(pooled, f"{number}")
            assert await pooled.fetch_val("SELECT 1") == 1
            if number == 5:
                raise ZeroDivisionError
            await asyncio.sleep(10)

    with pytest.raises(BaseException) as raised:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            for number in [1, 2, 5, 3, 4]:
                group.create_task(block(number))

    assert raised.type.__name__ == "ExceptionGroup"
    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside) == []
    await has_places(pooled, 3)


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_transaction"])
async def test_a_generator_that_is_abandoned(
    make_database: MakeDatabase, outside: Outside, inside: bool
) -> None:
    database = make_database(max_size=1)
    await database.connect()

    async def begin() -> None:
        rows = database.iterate(NUMBERS, {"last": MANY_ROWS})
        assert (await anext_of(rows))["n"] == 1

    async def task() -> None:
        if not inside:
            await begin()
            return
        async with database.transaction():
            await write(database, "kept")
            await begin()
            await write(database, "kept")

    await asyncio.ensure_future(task())
    gc.collect()

    await works(database, outside)
    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside).count("kept") == (2 if inside else 0)


async def test_a_generator_that_is_closed_in_another_task(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    rows = database.iterate(NUMBERS, {"last": MANY_ROWS})

    async def begin() -> None:
        assert (await anext_of(rows))["n"] == 1

    async def end() -> None:
        await rows.aclose()

    await asyncio.ensure_future(begin())
    await within(asyncio.ensure_future(end()))

    await works(database, outside)
    await until_not(outside.open_transactions, "transactions left open")


async def test_a_generator_that_is_read_on_in_another_task(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    rows = database.iterate(NUMBERS, {"last": MANY_ROWS})
    seen: list[int] = []

    async def read(count: int) -> None:
        for _ in range(count):
            seen.append((await anext_of(rows))["n"])

    for _ in range(3):
        await within(asyncio.ensure_future(read(MANY_ROWS // 3)))
    await rows.aclose()

    assert seen == list(range(1, MANY_ROWS + 1))
    await works(database, outside)


async def test_a_generator_whose_reader_was_cancelled_is_closed_later(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    rows = database.iterate(NUMBERS, {"last": MANY_ROWS})

    async def read() -> None:
        async for _ in rows:
            await asyncio.sleep(0.001)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    reader.cancel()
    await asyncio.wait({reader})
    await within(asyncio.ensure_future(rows.aclose()))

    assert reader.cancelled()
    await works(database, outside)


async def test_more_streams_than_connections(make_database: MakeDatabase, outside: Outside) -> None:
    """Each task reads a stream and asks something in its body: nobody waits for ever."""
    database = make_database(max_size=2)
    await database.connect()

    async def read(number: int) -> None:
        count = 0
        async for row in database.iterate(NUMBERS, {"last": MANY_ROWS}):
            count += 1
            assert row["n"] == count
            if count % 100 == 0:
                answer = await database.fetch_val("SELECT :n + 1", {"n": number})
                assert answer == number + 1
        assert count == MANY_ROWS

    await within(asyncio.gather(*(read(number) for number in range(8))), 20)

    await has_places(database, 2)
    await works(database, outside)


async def test_connects_of_which_some_are_cancelled(
    make_database: MakeDatabase, outside: Outside
) -> None:
    for turn in range(6):
        database = make_database(max_size=2)
        tasks = [asyncio.create_task(database.connect()) for _ in range(5)]
        for _ in range(turn):
            await asyncio.sleep(0)
        for task in tasks[:3]:
            task.cancel()
        await within(asyncio.gather(*tasks, return_exceptions=True))

        assert [task.cancelled() for task in tasks[3:]] == [False, False]
        assert database.is_connected
        await works(database, outside)
        await database.disconnect()


async def test_force_rollback_with_concurrent_transactions_that_are_cancelled(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """Cancelled between statements: in one, a driver may lose the connection that all share."""
    database = make_database(force_rollback=True)
    await database.connect()
    count = 12
    arrived: asyncio.Queue[int] = asyncio.Queue()

    async def block(number: int) -> None:
        async with database.transaction():
            await write(database, f"{number}")
            if number % 4 == 0:
                arrived.put_nowait(number)
                await asyncio.sleep(30)
            await write(database, f"{number}")

    tasks = [asyncio.create_task(block(number)) for number in range(count)]
    for _ in range(count // 4):
        tasks[await within(arrived.get())].cancel()
    await within(asyncio.gather(*tasks, return_exceptions=True), 20)

    rows = await database.fetch_all("SELECT text FROM notes")
    kept = [f"{number}" for number in range(count) if number % 4]
    assert [task.cancelled() for task in tasks] == [number % 4 == 0 for number in range(count)]
    assert all(task.cancelled() or task.exception() is None for task in tasks)
    assert sorted(row["text"] for row in rows) == sorted(kept + kept)
    await database.disconnect()
    assert texts(outside) == []


async def anext_of(rows: AsyncGenerator[Any, None]) -> Any:
    """Give the next row; ``anext`` wants a coroutine in some versions."""
    return await rows.__anext__()
