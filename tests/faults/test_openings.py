"""Connections that are being opened when the task that wants one gives up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from databases.backends.common import keeper
from tests.conftest import MakeDatabase
from tests.faults.acts import ends_in_time, times_out, until, until_not, works
from tests.support.drivers import requires
from tests.support.network import Network
from tests.support.outside import Outside
from tests.support.stepping import Canceller, Moment

pytestmark = pytest.mark.fault

LONG = keeper.HEADSTART + 0.1
SHORT = 0.05


class SecondOpening:
    """A hook that holds the second connection to be opened."""

    def __init__(self, hold: Callable[[], Awaitable[object]]) -> None:
        self._hold = hold
        self.count = 0

    async def __call__(self, raw: object) -> None:
        self.count += 1
        if self.count == 2:
            await self._hold()


async def _for_ever() -> None:
    await asyncio.Event().wait()


@requires("server")
async def test_the_place_of_a_connection_that_the_network_swallowed_comes_back_at_once(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    far = make_database(far_url, max_size=1, max_queries=1)
    await far.connect()
    assert await far.fetch_val("SELECT 1") == 1
    network.swallow()
    await times_out(far.fetch_val("SELECT 1"), LONG)

    network.heal_for_new()

    async with ends_in_time(0, "the next query"):
        assert await far.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("seconds", [SHORT, LONG])
async def test_the_place_of_a_connection_whose_hook_hangs_comes_back(
    make_database: MakeDatabase, outside: Outside, seconds: float
) -> None:
    hook = SecondOpening(_for_ever)
    database = make_database(max_size=1, max_queries=1, on_connect=hook)
    await database.connect()
    assert await database.fetch_val("SELECT 1") == 1
    await times_out(database.fetch_val("SELECT 1"), seconds)

    async with ends_in_time(LONG - seconds, "the next query"):
        assert await database.fetch_val("SELECT 1") == 1

    assert hook.count == 3
    assert database.pool_stats().opening == 0


async def test_a_cancelled_task_gives_the_place_back_too(
    make_database: MakeDatabase, outside: Outside
) -> None:
    hook = SecondOpening(_for_ever)
    database = make_database(max_size=1, max_queries=1, on_connect=hook)
    await database.connect()
    assert await database.fetch_val("SELECT 1") == 1
    task = asyncio.create_task(database.fetch_val("SELECT 1"))
    await until(lambda: hook.count == 2, "the second connection")
    task.cancel()
    await asyncio.wait({task})

    await until(lambda: not database.pool_stats().opening, "the place")

    await works(database, outside)


async def test_a_connection_that_opens_a_moment_later_serves_the_next_task(
    make_database: MakeDatabase,
) -> None:
    """Callers with little patience would never have a connection otherwise."""
    go_on = asyncio.Event()
    hook = SecondOpening(go_on.wait)
    database = make_database(max_size=1, max_queries=1, on_connect=hook)
    await database.connect()
    assert await database.fetch_val("SELECT 1") == 1
    await times_out(database.fetch_val("SELECT 1"), SHORT)

    go_on.set()

    assert await database.fetch_val("SELECT 1") == 1
    assert hook.count == 2


async def test_a_connection_that_opens_although_it_was_stopped_is_closed(
    make_database: MakeDatabase,
) -> None:
    swallowed = asyncio.Event()

    async def hold() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await _for_ever()
        swallowed.set()

    database = make_database(max_size=1, max_queries=2, on_connect=SecondOpening(hold))
    await database.connect()
    for _ in range(2):
        assert await database.fetch_val("SELECT 1") == 1
    await times_out(database.fetch_val("SELECT 1"), LONG)

    assert await database.fetch_val("SELECT 1") == 1
    await swallowed.wait()
    await asyncio.sleep(0)

    assert (database.pool_stats().size, database.pool_stats().opening) == (1, 0)


async def test_an_opening_that_a_task_still_waits_for_goes_on(
    make_database: MakeDatabase,
) -> None:
    """Two wait for one place and one of them gives up: the opening is the other's."""
    go_on = asyncio.Event()
    hook = SecondOpening(go_on.wait)
    database = make_database(max_size=1, max_queries=1, on_connect=hook)
    await database.connect()
    assert await database.fetch_val("SELECT 1") == 1
    patient = asyncio.create_task(database.fetch_val("SELECT 1"))
    await until(lambda: hook.count == 2, "the second connection")
    await times_out(database.fetch_val("SELECT 2"), LONG)

    go_on.set()

    assert await patient == 1
    assert hook.count == 2


async def test_given_up_nothing_of_it_stays_though_somebody_keeps_the_exception(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """What a driver has half opened may live in its frames, which a traceback holds."""
    kept: list[BaseException] = []
    point, delivered = 1, 1
    while delivered:
        database = make_database(max_size=1)
        canceller = Canceller(point, Moment.ANSWERED)
        task = canceller.start(database.connect())
        try:
            await task
        except asyncio.CancelledError as error:
            kept.append(error)
        await database.disconnect()
        await until_not(outside.sessions, "sessions left open")
        point, delivered = point + 1, canceller.delivered

    assert kept
    kept.clear()
