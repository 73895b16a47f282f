"""The server itself goes away and comes back, is not there yet, or is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import breaks, has_places, is_drivers_own, slow_query, texts, works, write
from tests.faults.servers import LIMIT, RECIPES, RestartableServer
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside

pytestmark = [requires("server"), pytest.mark.fault, pytest.mark.time_limit(120)]


@pytest.fixture(scope="module")
def private_servers() -> Iterator[dict[str, RestartableServer]]:
    servers: dict[str, RestartableServer] = {}
    yield servers
    for server in servers.values():
        server.close()


@pytest.fixture
def server(
    driver: DriverCase, outside: Outside, private_servers: dict[str, RestartableServer]
) -> RestartableServer:
    if driver.dialect not in private_servers:
        private_servers[driver.dialect] = RestartableServer(RECIPES[driver.dialect])
    server = private_servers[driver.dialect]
    server.run("DELETE FROM notes")
    return server


async def test_it_restarts_under_everything(
    make_database: MakeDatabase, driver: DriverCase, server: RestartableServer
) -> None:
    database = make_database(server.url(driver), max_size=4)
    await database.connect()
    await has_places(database, 4)
    await write(database, "kept")
    began, restarted = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        async with database.transaction():
            await write(database, "lost")
            began.set()
            await restarted.wait()
            await write(database, "lost too")

    async def commit_later() -> None:
        async with database.transaction():
            await write(database, "lost as well")
            await restarted.wait()

    victims = [
        asyncio.create_task(work)
        for work in (database.fetch_all(slow_query(driver)), block(), commit_later())
    ]
    await began.wait()
    await asyncio.sleep(0.1)

    server.kill()
    server.start()
    restarted.set()

    outcomes = await asyncio.wait_for(asyncio.gather(*victims, return_exceptions=True), 5)
    assert all(is_drivers_own(driver, outcome) for outcome in outcomes), outcomes
    await works(database, server)
    await has_places(database, 4)
    assert texts(server) == ["it works", "kept"]


async def test_it_is_down_at_connect_and_up_later(
    make_database: MakeDatabase, driver: DriverCase, server: RestartableServer
) -> None:
    database = make_database(server.url(driver))
    server.kill()
    try:
        for _ in range(2):
            with breaks(driver):
                await asyncio.wait_for(database.connect(), 5)
            assert not database.is_connected
    finally:
        server.start()

    await database.connect()

    await works(database, server)


async def test_it_goes_down_while_connected(
    make_database: MakeDatabase, driver: DriverCase, server: RestartableServer
) -> None:
    database = make_database(server.url(driver), max_size=3)
    await database.connect()
    await has_places(database, 3)
    server.kill()
    try:
        started = time.monotonic()
        outcomes = await asyncio.wait_for(
            asyncio.gather(
                *(database.fetch_val("SELECT 1") for _ in range(12)), return_exceptions=True
            ),
            10,
        )
        assert all(is_drivers_own(driver, one) for one in outcomes), outcomes
        assert time.monotonic() - started < 5
        with breaks(driver):
            async with database.transaction():
                await write(database, "never")
    finally:
        server.start()

    await works(database, server)
    await has_places(database, 3)
    assert texts(server) == ["it works"]


async def test_it_goes_down_and_the_database_disconnects(
    make_database: MakeDatabase, driver: DriverCase, server: RestartableServer
) -> None:
    database = make_database(server.url(driver), max_size=3)
    await database.connect()
    await has_places(database, 3)
    server.kill()
    try:
        await asyncio.wait_for(database.disconnect(), 5)
    finally:
        server.start()

    await database.connect()
    await works(database, server)


async def test_it_takes_fewer_connections_than_the_pool(
    make_database: MakeDatabase, driver: DriverCase, server: RestartableServer
) -> None:
    database = make_database(server.url(driver, user="limited"), max_size=10)
    await database.connect()

    async def work(number: int) -> str:
        async with database.transaction():
            await write(database, f"{number}")
            await asyncio.sleep(0.01)
        return f"{number}"

    outcomes = await asyncio.wait_for(
        asyncio.gather(*(work(number) for number in range(20)), return_exceptions=True), 20
    )

    done = [outcome for outcome in outcomes if isinstance(outcome, str)]
    errors = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    assert done, outcomes
    assert all(is_drivers_own(driver, error) for error in errors), errors
    assert texts(server) == sorted(done)
    await works(database, server)
    await has_places(database, LIMIT)
    await check_again(database, server)


async def check_again(database: Database, server: RestartableServer) -> None:
    """The places that were never filled are free: nobody waits for them."""
    before = len(texts(server))
    for number in range(15):
        await asyncio.wait_for(write(database, f"again {number}"), 2)
    assert len(texts(server)) == before + 15
