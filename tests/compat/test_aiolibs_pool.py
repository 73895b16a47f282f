"""``_backend._pool`` on aiopg, aiomysql and asyncmy, used as their own pools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import accounts

pytestmark = pytest.mark.drivers("aiopg", "aiomysql", "asyncmy")


@pytest_asyncio.fixture
async def small(make_database: MakeDatabase) -> Database:
    """Connect with one to two connections."""
    database = make_database(min_size=1, max_size=2)
    await database.connect()
    return database


@pytest.fixture
def pool(small: Any) -> Any:
    """Give the pool of a connected database."""
    return small._backend._pool


async def _value(connection: Any, query: str) -> Any:
    async with connection.cursor() as cursor:
        await cursor.execute(query)
        return (await cursor.fetchone())[0]


async def _give_back(pool: Any, connection: Any) -> None:
    """Release as the three libraries allow: some give an awaitable."""
    released = pool.release(connection)
    if released is not None:
        await released


async def test_acquire_is_a_context_manager(pool: Any) -> None:
    async with pool.acquire() as connection:
        assert await _value(connection, "SELECT 7") == 7


async def test_acquire_gives_a_connection_of_the_driver(
    small: Database, pool: Any, driver: DriverCase
) -> None:
    async with small.connection() as connection:
        expected = type(connection.raw_connection)

    async with pool.acquire() as raw:
        assert type(raw) is expected
        assert type(raw).__module__.startswith(driver.name)


async def test_acquire_can_be_awaited_and_released_by_hand(pool: Any) -> None:
    connection = await pool.acquire()
    value = await _value(connection, "SELECT 1")
    await _give_back(pool, connection)

    assert value == 1
    assert pool.freesize == pool.size


async def test_sizes_are_attributes(pool: Any) -> None:
    assert (pool.minsize, pool.maxsize) == (1, 2)
    assert (pool.size, pool.freesize) == (1, 1)


async def test_free_size_follows_what_is_lent(pool: Any) -> None:
    async with pool.acquire():
        assert (pool.size, pool.freesize) == (1, 0)
        async with pool.acquire():
            assert (pool.size, pool.freesize) == (2, 0)


async def test_free_size_follows_what_the_database_lends(small: Database, pool: Any) -> None:
    async with small.connection():
        assert pool.freesize == 0


async def test_clear_closes_the_free_connections(pool: Any, outside: Outside) -> None:
    async with pool.acquire(), pool.acquire():
        assert pool.size == 2

    await within(pool.clear())

    assert pool.freesize == 0
    async with pool.acquire() as connection:
        assert await _value(connection, "SELECT 1") == 1


async def test_clear_leaves_what_is_lent(pool: Any) -> None:
    async with pool.acquire() as connection:
        await within(pool.clear())

        assert await _value(connection, "SELECT 1") == 1


async def test_database_works_after_clear(small: Database, pool: Any) -> None:
    await within(pool.clear())

    assert await small.fetch_val("SELECT 1") == 1


async def test_pool_and_database_share_their_connections(small: Database, pool: Any) -> None:
    async with pool.acquire(), pool.acquire():
        waiting = asyncio.create_task(small.fetch_val("SELECT 1"))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done

    assert await within(waiting) == 1


async def test_connection_of_the_pool_writes(pool: Any, outside: Outside) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("INSERT INTO accounts (id, balance) VALUES (%s, %s)", (1, 10))
        assert cursor.rowcount == 1

    assert outside.column(accounts.c.balance) == [10]


async def test_terminated_pool_lets_the_database_disconnect(small: Any, pool: Any) -> None:
    result = pool.terminate()
    if result is not None:
        await result

    await within(small.disconnect())
    await small.connect()

    assert await small.fetch_val("SELECT 1") == 1
    assert small._backend._pool is not pool


async def test_pool_can_be_closed_and_waited_for(small: Any, pool: Any) -> None:
    closed = pool.close()
    if closed is not None:
        await closed
    await within(pool.wait_closed())

    with pytest.raises(Exception):  # the driver's own, or ours
        await pool.acquire()


async def test_sizes_given_in_the_words_of_the_driver_are_honoured(
    make_database: MakeDatabase,
) -> None:
    database: Any = make_database(minsize=1, maxsize=3)

    await database.connect()

    assert (database._backend._pool.minsize, database._backend._pool.maxsize) == (1, 3)


@pytest.mark.drivers("aiomysql", "asyncmy")
async def test_pool_recycle_replaces_old_connections(make_database: MakeDatabase) -> None:
    database = make_database(min_size=1, max_size=1, pool_recycle=0)
    await database.connect()
    first = await database.fetch_val("SELECT CONNECTION_ID()")

    second = await database.fetch_val("SELECT CONNECTION_ID()")

    assert second != first


@pytest.mark.drivers("aiopg")
async def test_on_connect_of_aiopg_is_called_for_every_connection(
    make_database: MakeDatabase,
) -> None:
    called: list[Any] = []

    async def on_connect(connection: Any) -> None:
        called.append(connection)

    database: Any = make_database(min_size=1, max_size=2, on_connect=on_connect)
    await database.connect()
    async with database._backend._pool.acquire(), database._backend._pool.acquire():
        pass

    assert len(called) == 2


async def test_pool_tells_whether_it_is_closed(database: Any) -> None:
    pool = database._backend._pool
    before = pool.closed, pool._closed

    await database.disconnect()

    assert before == (False, False)
    assert (pool.closed, pool._closed) == (True, True)
