"""The network is silent, cut, slow or gone: nothing waits for ever, and it heals."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import (
    breaks,
    ends_in_time,
    has_places,
    texts,
    times_out,
    works,
    write,
)
from tests.faults.operations import MANY_ROWS, NUMBERS
from tests.support.checks import other_tasks
from tests.support.drivers import DriverCase, requires
from tests.support.network import Network
from tests.support.outside import Outside
from tests.support.watching import patience

pytestmark = [requires("server"), pytest.mark.fault]

CLEANUP = 0.4
"""Seconds that a connection may take to be cleaned, in most of these tests."""


@pytest.fixture
def far(make_database: MakeDatabase, far_url: str) -> Database:
    return make_database(far_url, max_size=1, cleanup_timeout=CLEANUP)


async def test_slow(far: Database, outside: Outside, network: Network) -> None:
    network.delay(0.02)

    await far.connect()

    await works(far, outside, 5)
    rows = [row["n"] async for row in far.iterate(NUMBERS, {"last": MANY_ROWS})]
    assert len(rows) == MANY_ROWS


async def test_silent_at_connect(far: Database, outside: Outside, network: Network) -> None:
    tasks_before = other_tasks()
    network.swallow()

    await times_out(far.connect())

    assert not far.is_connected
    network.heal()
    await asyncio.sleep(0)
    assert not other_tasks() - tasks_before
    await far.connect()
    await works(far, outside)


async def test_silent_at_connect_without_a_time_out(
    make_database: MakeDatabase, far_url: str, network: Network, driver: DriverCase
) -> None:
    """A server that accepts and says nothing is waited for no longer than was asked."""
    database = make_database(far_url, connect_timeout=1)
    network.swallow()

    async with ends_in_time(2.0):  # libpq waits two seconds at least
        with pytest.raises((driver.error, OSError, asyncio.TimeoutError)):
            await database.connect()

    assert not database.is_connected


async def test_refused_at_connect(
    far: Database, outside: Outside, driver: DriverCase, network: Network
) -> None:
    network.refuse()

    with breaks(driver):
        await asyncio.wait_for(far.connect(), 5)

    assert not far.is_connected
    network.heal()
    await far.connect()
    await works(far, outside)


async def test_cut_at_connect(
    far: Database, outside: Outside, driver: DriverCase, network: Network
) -> None:
    network.truncate(30)

    with breaks(driver):
        await asyncio.wait_for(far.connect(), 5)

    network.heal()
    await far.connect()
    await works(far, outside)


async def test_silent_at_a_query(far: Database, outside: Outside, network: Network) -> None:
    await far.connect()
    network.swallow()

    await times_out(far.fetch_val("SELECT 1"))

    network.heal()
    await works(far, outside)


async def test_silent_while_others_wait_for_the_pool(
    far: Database, outside: Outside, network: Network
) -> None:
    await far.connect()
    network.swallow()
    stuck = asyncio.create_task(far.fetch_val("SELECT 1"))
    await asyncio.sleep(0.01)

    await times_out(far.fetch_val("SELECT 2"))

    stuck.cancel()
    async with ends_in_time(0, "the cancelled query"):
        await asyncio.wait({stuck})
    assert stuck.cancelled()
    network.heal()
    await works(far, outside)


async def test_silent_and_the_place_comes_back_at_once(
    make_database: MakeDatabase, far_url: str, outside: Outside, network: Network
) -> None:
    """The network heals, but the connection that was given up never answers again."""
    far = make_database(far_url, max_size=1, cleanup_timeout=30)
    await far.connect()
    network.swallow()
    await times_out(far.fetch_val("SELECT 1"))

    network.heal()

    await works(far, outside)


async def test_silent_in_a_transaction(far: Database, outside: Outside, network: Network) -> None:
    await far.connect()

    async def block() -> None:
        async with far.transaction():
            await write(far, "lost")
            network.swallow()
            await write(far, "lost too")

    await times_out(block())

    network.heal()
    await works(far, outside)
    assert texts(outside) == ["it works"]


async def test_silent_in_a_nested_transaction(
    far: Database, outside: Outside, network: Network
) -> None:
    await far.connect()

    async def block() -> None:
        async with far.transaction():
            await write(far, "lost")
            async with far.transaction():
                await write(far, "lost too")
                network.swallow()
                await write(far, "lost as well")

    await times_out(block())

    network.heal()
    await works(far, outside)
    assert texts(outside) == ["it works"]


@pytest.mark.parametrize("way", ["block", "low_level"])
async def test_silent_at_commit(
    far: Database, outside: Outside, network: Network, way: str
) -> None:
    await far.connect()

    async def block() -> None:
        async with far.transaction():
            await write(far, "in doubt")
            network.swallow()

    async def low_level() -> None:
        transaction = await far.transaction()
        await write(far, "in doubt")
        network.swallow()
        await transaction.commit()

    await times_out(block() if way == "block" else low_level())

    network.heal()
    await works(far, outside)
    # The COMMIT vanished on its way to the server.
    assert texts(outside) == ["it works"]


async def test_silent_at_rollback(far: Database, outside: Outside, network: Network) -> None:
    await far.connect()

    async def block() -> None:
        async with far.transaction():
            await write(far, "lost")
            network.swallow()
            raise ZeroDivisionError

    # The rollback may take as long as a clean-up may, and not longer.
    async with ends_in_time(CLEANUP, "the rollback"):
        with pytest.raises((ZeroDivisionError, asyncio.TimeoutError)):
            await asyncio.wait_for(block(), CLEANUP)

    network.heal()
    await works(far, outside)
    assert texts(outside) == ["it works"]


async def test_silent_at_rollback_without_a_time_out(
    far: Database, outside: Outside, network: Network
) -> None:
    await far.connect()

    async with ends_in_time(CLEANUP, "the rollback"):
        with pytest.raises(ZeroDivisionError):
            async with far.transaction():
                await write(far, "lost")
                network.swallow()
                raise ZeroDivisionError

    network.heal()
    await works(far, outside)
    assert texts(outside) == ["it works"]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_transaction"])
async def test_silent_while_iterating(
    far: Database, outside: Outside, network: Network, inside: bool
) -> None:
    # More than all the buffers between here and the server take.
    padded = f"SELECT n, repeat('x', 20000) AS padding FROM ({NUMBERS}) AS numbers"
    await far.connect()

    async def read() -> None:
        async for row in far.iterate(padded, {"last": MANY_ROWS + 400}):
            if row["n"] == 10:
                network.swallow()

    async def read_inside() -> None:
        async with far.transaction():
            await write(far, "lost")
            await read()

    await times_out(read_inside() if inside else read())

    network.heal()
    await works(far, outside)
    assert texts(outside) == ["it works"]


async def test_silent_at_disconnect(far: Database, network: Network) -> None:
    await far.connect()
    network.swallow()

    async with ends_in_time(CLEANUP, "disconnect()"):
        await far.disconnect()

    assert not far.is_connected


async def test_silent_at_disconnect_with_a_time_out(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    far = make_database(far_url, max_size=3)
    await far.connect()
    await has_places(far, 3)
    network.swallow()

    async with ends_in_time(0.3, "disconnect()"):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(far.disconnect(), 0.3)

    assert not far.is_connected


async def test_silent_at_disconnect_with_a_query_running(far: Database, network: Network) -> None:
    await far.connect()
    network.swallow()
    query = asyncio.create_task(far.fetch_val("SELECT 1"))
    await asyncio.sleep(0.01)

    async with ends_in_time(CLEANUP + 0.5, "disconnect()"):
        await far.disconnect(timeout=0.5)

    with pytest.raises(Exception):
        await asyncio.wait_for(query, 2)


@pytest.mark.thorough
async def test_silent_at_disconnect_with_the_default_deadlines(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    far = make_database(far_url)
    await far.connect()
    network.swallow()

    async with ends_in_time(10, "disconnect()"):
        await far.disconnect()


async def test_silent_for_a_while_under_load(
    make_database: MakeDatabase, far_url: str, outside: Outside, network: Network
) -> None:
    far = make_database(far_url, max_size=3, cleanup_timeout=CLEANUP)
    await far.connect()
    acknowledged: list[str] = []

    async def work(number: int) -> None:
        for turn in range(6):
            text = f"{number}.{turn}"
            try:
                await asyncio.wait_for(write(far, text), 0.3)
            except Exception:
                continue
            acknowledged.append(text)

    async def trouble() -> None:
        for _ in range(2):
            await asyncio.sleep(0.03)
            network.swallow()
            await asyncio.sleep(0.3)
            network.heal()

    await asyncio.wait_for(asyncio.gather(trouble(), *(work(number) for number in range(8))), 30)

    assert set(acknowledged) <= set(texts(outside))
    await has_places(far, 3)
    await works(far, outside)


async def test_cut_while_idle(far: Database, outside: Outside, network: Network) -> None:
    await far.connect()
    network.drop()
    await asyncio.sleep(0.05)

    await works(far, outside)


async def test_cut_in_an_answer(
    far: Database, outside: Outside, driver: DriverCase, network: Network
) -> None:
    await far.connect()
    assert await far.fetch_val("SELECT 1") == 1
    network.truncate(3000)

    with breaks(driver):
        await asyncio.wait_for(far.fetch_all(NUMBERS, {"last": MANY_ROWS}), patience(5))

    network.heal()
    await works(far, outside)


async def test_cut_while_iterating(
    far: Database, outside: Outside, driver: DriverCase, network: Network
) -> None:
    await far.connect()
    assert await far.fetch_val("SELECT 1") == 1
    network.truncate(3000)
    seen: list[int] = []

    async def read() -> None:
        async for row in far.iterate(NUMBERS, {"last": MANY_ROWS}):
            seen.append(row["n"])

    with breaks(driver):
        await asyncio.wait_for(read(), patience(5))

    assert seen == list(range(1, len(seen) + 1))
    network.heal()
    await works(far, outside)


async def test_cut_at_commit(
    far: Database, outside: Outside, driver: DriverCase, network: Network
) -> None:
    """The COMMIT arrives, its answer does not: an error, and the write is there or not."""
    await far.connect()

    with breaks(driver):
        async with far.transaction():
            await write(far, "in doubt")
            network.truncate(2)

    network.heal()
    await works(far, outside)
    assert texts(outside) in (["it works"], ["in doubt", "it works"])
