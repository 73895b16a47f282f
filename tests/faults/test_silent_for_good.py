"""A connection that was given up and never answers again, while the network is well for others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import ends_in_time, texts, times_out, works, write
from tests.support.drivers import DriverCase, requires
from tests.support.network import Network
from tests.support.outside import Outside

pytestmark = [requires("server"), pytest.mark.fault]


async def query(far: Database, network: Network) -> None:
    network.swallow()
    await far.fetch_val("SELECT 1")


async def transaction(far: Database, network: Network) -> None:
    async with far.transaction():
        await write(far, "lost")
        network.swallow()
        await write(far, "lost too")


async def transaction_in_a_connection(far: Database, network: Network) -> None:
    async with far.connection():
        await transaction(far, network)


async def nested(far: Database, network: Network) -> None:
    async with far.transaction():
        await transaction(far, network)


async def stream(far: Database, network: Network) -> None:
    async for _ in far.iterate("SELECT a.* FROM information_schema.columns a"):
        network.swallow()
        await far.fetch_val("SELECT 1")


async def many(far: Database, network: Network) -> None:
    network.swallow()
    await far.execute_many(
        "INSERT INTO notes (text, completed) VALUES (:text, TRUE)", [{"text": "lost"}] * 3
    )


async def function(far: Database, network: Network) -> None:
    def use(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELECT 1")
        network.swallow()
        connection.exec_driver_sql("SELECT 2")

    await far.run_sync(use)


@pytest.mark.parametrize(
    "act", [query, transaction, transaction_in_a_connection, nested, stream, many, function]
)
async def test_its_place_comes_back_for_a_task_that_waits(
    make_database: MakeDatabase, far_url: str, outside: Outside, network: Network, act: Any
) -> None:
    """Though it may take much longer to be made clean where nobody waits."""
    far = make_database(far_url, max_size=1, cleanup_timeout=30)
    await far.connect()
    assert await far.fetch_val("SELECT 1") == 1
    await times_out(act(far, network))

    network.heal_for_new()

    await works(far, outside)
    assert texts(outside) == ["it works"]
    network.heal()


async def test_a_place_that_is_given_back_there_comes_back(
    make_database: MakeDatabase,
    far_url: str,
    outside: Outside,
    network: Network,
    driver: DriverCase,
) -> None:
    """Forgetting what was set is a statement, too, on the drivers that do so."""
    setting = driver.text(postgresql="SET application_name = 'x'", mysql="SET @x = 1")
    far = make_database(far_url, max_size=1, cleanup_timeout=30)
    await far.connect()
    async with far.connection() as connection:
        await connection.execute(setting)
        network.silence()
    is_asked = far.pool_stats().cleaning == 1

    if is_asked:  # or else nobody could know that nothing comes back
        await works(far, outside)
    network.heal()


async def test_what_a_program_does_on_release_has_its_time(
    make_database: MakeDatabase,
) -> None:
    """Tasks that wait for the place do not cut it short."""
    released: list[str] = []

    async def on_release(raw: Any) -> None:
        await asyncio.sleep(1.3)
        released.append("to the end")

    async with make_database(max_size=1, on_release=on_release) as database:
        assert await database.fetch_val("SELECT 1") == 1
        async with ends_in_time(1.3, "waiting for the place"):
            assert await database.fetch_val("SELECT 2") == 2
        assert released == ["to the end"]
