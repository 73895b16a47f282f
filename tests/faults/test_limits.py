"""The library's own time limits: on each verb, on transactions, on streams, for the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import ends_in_time, slow_query, texts, until_not, works, write
from tests.faults.test_timeouts import SECONDS, check_stopped
from tests.support.drivers import DriverCase
from tests.support.outside import Outside

pytestmark = pytest.mark.law


@pytest.fixture
async def one(make_database: MakeDatabase) -> Database:
    """Give a connected database with room for one connection."""
    database = make_database(max_size=1)
    await database.connect()
    return database


@pytest.mark.parametrize("verb", ["fetch_all", "fetch_one", "fetch_val", "execute"])
@pytest.mark.parametrize("held", [False, True], ids=["database", "connection"])
async def test_a_verb(
    one: Database, outside: Outside, driver: DriverCase, verb: str, held: bool
) -> None:
    async with ends_in_time(SECONDS):
        with pytest.raises(TimeoutError):
            if held:
                async with one.connection() as connection:
                    await getattr(connection, verb)(slow_query(driver), timeout=SECONDS)
            else:
                await getattr(one, verb)(slow_query(driver), timeout=SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)


async def test_a_verb_that_is_fast_enough(one: Database, outside: Outside) -> None:
    for _ in range(20):
        assert await one.fetch_val("SELECT 1", timeout=5) == 1
    await one.execute("INSERT INTO notes (text) VALUES ('kept')", timeout=5)
    async with one.transaction(timeout=5):
        await write(one, "kept too")

    assert texts(outside) == ["kept", "kept too"]
    # No limit may come later, and hit somebody else.
    await asyncio.sleep(0.05)
    await works(one, outside)


@pytest.mark.parametrize("way", ["block", "decorator", "nested"])
async def test_a_transaction(one: Database, outside: Outside, driver: DriverCase, way: str) -> None:
    @one.transaction(timeout=SECONDS)
    async def decorated() -> None:
        await write(one, "lost")
        await one.fetch_all(slow_query(driver))

    async def block() -> None:
        async with one.transaction(timeout=SECONDS):
            await write(one, "lost")
            await one.fetch_all(slow_query(driver))

    async def nested() -> None:
        async with one.transaction():
            await write(one, "lost as well")
            async with one.transaction(timeout=SECONDS):
                await write(one, "lost")
                await one.fetch_all(slow_query(driver))

    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "block": block,
        "decorator": decorated,
        "nested": nested,
    }
    async with ends_in_time(SECONDS):
        with pytest.raises(TimeoutError):
            await ways[way]()

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_a_transaction_that_waits_for_something_else(one: Database, outside: Outside) -> None:
    async with ends_in_time(SECONDS):
        with pytest.raises(TimeoutError):
            async with one.transaction(timeout=SECONDS):
                await write(one, "lost")
                await asyncio.sleep(30)

    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside) == []
    await works(one, outside)


async def test_a_stream(one: Database, outside: Outside, driver: DriverCase) -> None:
    async with ends_in_time(SECONDS):
        with pytest.raises(TimeoutError):
            async for _ in one.iterate(slow_query(driver), timeout=SECONDS):
                raise AssertionError

    await works(one, outside)
    await check_stopped(outside, driver)


async def test_waiting_for_the_pool(one: Database, outside: Outside) -> None:
    async with one.connection():

        async def other() -> None:
            await one.fetch_val("SELECT 1", timeout=SECONDS)

        async with ends_in_time(SECONDS):
            with pytest.raises(TimeoutError):
                await asyncio.ensure_future(other())

    await works(one, outside)


async def test_a_cancellation_that_meets_the_limit_stays_a_cancellation(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async def work() -> None:
        await one.fetch_all(slow_query(driver), timeout=0.05)

    for delay in (0.045, 0.05, 0.055):
        task = asyncio.ensure_future(work())
        await asyncio.sleep(delay)
        was_running = task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or isinstance(task.exception(), TimeoutError)
        assert was_running or not task.cancelled()
        await works(one, outside)
