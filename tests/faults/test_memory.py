"""Memory: many short tasks leave nothing behind, and connections die with their tasks."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import has_places, write
from tests.faults.operations import NUMBERS
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes
from tests.support.watching import settle

pytestmark = [pytest.mark.law, pytest.mark.time_limit(400)]

AT_ONCE = 20
PLACES = 3
ALLOWED = 60_000
"""Bytes that caches, counters and the odd name may grow by; a leak would be one per task."""


@pytest.fixture
async def pooled(make_database: MakeDatabase, driver: DriverCase) -> Database:
    database = make_database(max_size=PLACES)
    await database.connect()
    return database


async def in_tasks(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Run *work* in *count* short tasks, some at a time."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(
            *(asyncio.ensure_future(work(number)) for number in range(start, start + AT_ONCE)),
            return_exceptions=True,
        )


def other_tasks() -> list[str]:
    """Name what still goes on, such as the closing of connections."""
    mine = asyncio.current_task()
    return [repr(task.get_coro()) for task in asyncio.all_tasks() if task is not mine]


async def growth(
    database: Database, count: int, work: Callable[[int], Awaitable[None]], warm_up: int = 200
) -> int:
    """Give the bytes by which memory grows over *count* tasks, once caches are full."""

    async def in_use_after(count: int) -> int:
        await in_tasks(count, work)
        # As many are open each time: asyncmy's have a buffer of 256 KiB each.
        await has_places(database, PLACES)
        await settle(other_tasks, 5)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    # Traced from the beginning: what a cache lets go must be known to it.
    tracemalloc.start()
    try:
        before = await in_use_after(warm_up)
        return await in_use_after(count) - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.thorough)])
async def test_short_tasks_with_a_query_and_a_transaction(
    pooled: Database, outside: Outside, count: int
) -> None:
    async def work(number: int) -> None:
        assert await pooled.fetch_val("SELECT :n + 1 AS m", {"n": number}) == number + 1
        async with pooled.transaction():
            assert await pooled.fetch_val("SELECT 2") == 2

    threads = threading.active_count()

    assert await growth(pooled, count, work) < ALLOWED
    assert len(pooled._connection_map) == 0
    assert threading.active_count() <= threads + PLACES


async def test_short_tasks_that_are_cancelled(pooled: Database, outside: Outside) -> None:
    async def work(number: int) -> None:
        async def body() -> None:
            async with pooled.transaction():
                await pooled.fetch_all(NUMBERS, {"last": 50})
                await asyncio.sleep(0.05)

        task = asyncio.ensure_future(body())
        for _ in range(number % 9):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    assert await growth(pooled, 200, work) < ALLOWED
    assert len(pooled._connection_map) == 0
    await has_places(pooled, PLACES)


async def test_short_tasks_that_fail(pooled: Database, outside: Outside) -> None:
    async def work(number: int) -> None:
        async with pooled.transaction():
            await pooled.fetch_all("SELECT * FROM nowhere")

    assert await growth(pooled, 200, work) < ALLOWED
    assert len(pooled._connection_map) == 0
    await has_places(pooled, PLACES)


@pytest.mark.thorough
async def test_statements_that_are_all_different(pooled: Database, outside: Outside) -> None:
    """Texts with values in them fill the caches, which have a bound."""

    async def work(number: int) -> None:
        await pooled.fetch_all(notes.select().where(notes.c.id == number).limit(number % 7 + 1))
        await pooled.fetch_val(f"SELECT {next_number()} AS m")

    counter = iter(range(10**9))

    def next_number() -> int:
        return next(counter)

    assert await growth(pooled, 400, work, warm_up=1400) < ALLOWED


@pytest.mark.parametrize("kind", ["iterable", "async_iterable"])
async def test_rows_that_are_written_in_bulk(pooled: Database, outside: Outside, kind: str) -> None:
    """They are taken as they are needed: the peak is that of a batch, not of all rows."""
    count, most = 30_000, 4_000_000

    def made() -> Iterator[dict[str, object]]:
        return ({"text": f"note {number}" * 9} for number in range(count))

    async def made_slowly() -> AsyncIterator[dict[str, object]]:
        for row in made():
            yield row

    tracemalloc.start()
    try:
        assert len(list(made())) == count
        assert tracemalloc.get_traced_memory()[1] > 2 * most  # all rows at once
        tracemalloc.reset_peak()
        rows = made() if kind == "iterable" else made_slowly()
        await pooled.execute_many(notes.insert(), rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < most
    assert outside.count(notes) == count


async def test_a_connection_dies_with_its_task(pooled: Database, outside: Outside) -> None:
    seen: list[weakref.ref[object]] = []

    async def work() -> None:
        connection = pooled.connection()
        seen.append(weakref.ref(connection))
        async with connection:
            await write(connection, "one")
        async with pooled.transaction() as transaction:
            seen.append(weakref.ref(transaction))
            seen.append(weakref.ref(pooled.connection()))

    await asyncio.ensure_future(work())
    gc.collect()

    assert [reference() for reference in seen] == [None] * 3


async def test_connections_die_with_their_tasks_that_failed(
    pooled: Database, outside: Outside
) -> None:
    seen: list[weakref.ref[object]] = []

    async def work(number: int) -> None:
        async with pooled.connection() as connection:
            seen.append(weakref.ref(connection))
            await connection.fetch_val("SELECT * FROM nowhere")

    await in_tasks(60, work)
    await has_places(pooled, PLACES)
    gc.collect()

    # Some drivers keep the last error of a connection, with all that it saw.
    assert sum(reference() is not None for reference in seen) <= PLACES


async def test_a_connection_that_was_never_left_dies_with_its_task(
    pooled: Database, outside: Outside
) -> None:
    seen: list[weakref.ref[object]] = []

    async def work() -> None:
        connection = await pooled.connection().__aenter__()
        seen.append(weakref.ref(connection))
        await connection.fetch_val("SELECT 1")

    for _ in range(5):
        await asyncio.ensure_future(work())
        gc.collect()
        await asyncio.sleep(0.01)

    assert [reference() for reference in seen] == [None] * 5
    await has_places(pooled, PLACES)
