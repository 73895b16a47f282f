"""``connect()`` and ``disconnect()``: twice, at once, and when there is no server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from databases import Database, DatabaseURL
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside


async def test_connect_twice_does_nothing_more(database: Database) -> None:
    pool = _pool(database)

    await database.connect()

    assert _pool(database) is pool
    assert database.is_connected


async def test_disconnect_twice_does_nothing_more(database: Database) -> None:
    await database.disconnect()
    await database.disconnect()

    assert not database.is_connected


async def test_disconnect_before_connect_does_nothing(make_database: MakeDatabase) -> None:
    database = make_database()

    await database.disconnect()

    assert not database.is_connected


async def test_async_with_connects_and_disconnects(make_database: MakeDatabase) -> None:
    database = make_database()

    async with database as entered:
        assert entered is database
        assert database.is_connected
        assert await database.fetch_val("SELECT 1") == 1

    assert not database.is_connected


async def test_async_with_disconnects_after_an_error(make_database: MakeDatabase) -> None:
    database = make_database()

    with pytest.raises(ZeroDivisionError):
        async with database:
            raise ZeroDivisionError

    assert not database.is_connected


async def test_tasks_that_connect_at_once_make_one_pool(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(min_size=2, max_size=2)
    pools: set[int] = set()

    async def connect() -> None:
        await database.connect()
        pools.add(id(_pool(database)))
        assert await database.fetch_val("SELECT 1") == 1

    await asyncio.gather(*(connect() for _ in range(10)))

    assert len(pools) == 1
    if driver.can("server"):
        assert len(outside.sessions()) <= 2


async def test_tasks_that_disconnect_at_once_all_return(database: Database) -> None:
    await asyncio.gather(*(database.disconnect() for _ in range(5)))

    assert not database.is_connected


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_connect_raises_when_the_server_cannot_be_reached(
    make_database: MakeDatabase, url: str, unused_tcp_port: int
) -> None:
    wrong = str(DatabaseURL(url).replace(hostname="127.0.0.1", port=unused_tcp_port))
    database = make_database(wrong)

    for _ in range(2):
        with pytest.raises(Exception):  # each driver has its own class
            await within(database.connect())

        assert not database.is_connected


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_connect_works_after_it_failed(make_database: MakeDatabase, url: str) -> None:
    database = make_database(str(DatabaseURL(url).replace(database="no_such_database")))
    with pytest.raises(Exception):  # each driver has its own class
        await database.connect()

    backend: Any = database._backend
    backend._database_url = DatabaseURL(url)
    await database.connect()

    assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_failed_connect_leaves_no_pool(make_database: MakeDatabase, url: str) -> None:
    database = make_database(str(DatabaseURL(url).replace(database="no_such_database")))

    with pytest.raises(Exception):  # each driver has its own class
        await database.connect()

    assert _pool(database) is None


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_pool_is_none_again_after_disconnect(database: Database) -> None:
    assert _pool(database) is not None

    await database.disconnect()

    assert _pool(database) is None


def _pool(database: Database) -> Any:
    backend: Any = database._backend
    return backend._pool
