"""``_backend._pool`` on asyncpg, used as asyncpg's own pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.outside import Outside
from tests.support.tables import accounts

pytestmark = pytest.mark.drivers("asyncpg")


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


async def test_acquire_is_a_context_manager_over_a_connection_of_asyncpg(pool: Any) -> None:
    import asyncpg

    async with pool.acquire() as connection:
        assert isinstance(connection, asyncpg.Connection)
        assert await connection.fetchval("SELECT $1::int", 7) == 7


async def test_acquire_can_be_awaited_and_released_by_hand(pool: Any) -> None:
    connection = await pool.acquire()
    value = await connection.fetchval("SELECT 1")
    await pool.release(connection)

    assert value == 1
    assert pool.get_idle_size() == pool.get_size()


async def test_acquire_takes_a_timeout(pool: Any) -> None:
    async with pool.acquire(), pool.acquire():
        with pytest.raises(asyncio.TimeoutError):
            await pool.acquire(timeout=0.05)

    async with pool.acquire(timeout=5) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_sizes_are_told(pool: Any) -> None:
    assert (pool.get_min_size(), pool.get_max_size()) == (1, 2)
    assert (pool.get_size(), pool.get_idle_size()) == (1, 1)


async def test_idle_size_follows_what_is_lent(pool: Any) -> None:
    async with pool.acquire():
        assert (pool.get_size(), pool.get_idle_size()) == (1, 0)
        async with pool.acquire():
            assert (pool.get_size(), pool.get_idle_size()) == (2, 0)


async def test_idle_size_follows_what_the_database_lends(small: Database, pool: Any) -> None:
    async with small.connection():
        assert pool.get_idle_size() == 0

    assert await small.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("fetch", [(1, 2)]),
        ("fetchrow", (1, 2)),
        ("fetchval", 1),
        ("execute", "SELECT 1"),
    ],
)
async def test_query_of_the_pool_runs_on_any_connection(
    pool: Any, method: str, expected: object
) -> None:
    arguments = () if method == "execute" else (1,)
    query = "SELECT 1 AS a, 2 AS b" if method == "execute" else "SELECT $1::int AS a, 2 AS b"

    result = await getattr(pool, method)(query, *arguments)

    assert result == expected


async def test_fetchval_of_the_pool_takes_a_column(pool: Any) -> None:
    assert await pool.fetchval("SELECT 1, 2", column=1) == 2


async def test_fetch_of_the_pool_gives_records_of_asyncpg(pool: Any) -> None:
    import asyncpg

    (row,) = await pool.fetch("SELECT 1 AS a")

    assert isinstance(row, asyncpg.Record)
    assert row["a"] == 1


async def test_executemany_of_the_pool(pool: Any, outside: Outside) -> None:
    query = "INSERT INTO accounts (id, balance) VALUES ($1, $2)"

    await pool.executemany(query, [(1, 10), (2, 20)])

    assert outside.column(accounts.c.balance) == [10, 20]


async def test_connection_of_the_pool_has_transactions(pool: Any, outside: Outside) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("INSERT INTO accounts (id, balance) VALUES (1, 10)")

    assert outside.count(accounts) == 1


async def test_connection_of_the_pool_copies_records(pool: Any, outside: Outside) -> None:
    async with pool.acquire() as connection:
        await connection.copy_records_to_table("accounts", records=[(1, 10), (2, 20)])

    assert outside.count(accounts) == 2


async def test_pool_and_database_share_their_connections(small: Database, pool: Any) -> None:
    async with pool.acquire(), pool.acquire():
        waiting = asyncio.create_task(small.fetch_val("SELECT 1"))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done

    assert await within(waiting) == 1


async def test_connections_can_be_expired(pool: Any) -> None:
    before = await pool.fetchval("SELECT pg_backend_pid()")

    await pool.expire_connections()

    assert await pool.fetchval("SELECT pg_backend_pid()") != before


async def test_terminated_pool_leaves_no_session(small: Database, pool: Any) -> None:
    async with pool.acquire():
        pool.terminate()

    await within(small.disconnect())

    assert not small.is_connected


async def test_database_can_connect_again_after_its_pool_was_terminated(
    small: Any, pool: Any
) -> None:
    pool.terminate()
    await within(small.disconnect())

    await small.connect()

    assert await small.fetch_val("SELECT 1") == 1
    assert small._backend._pool is not pool


async def test_closed_pool_lends_nothing(small: Any, pool: Any) -> None:
    await within(pool.close())

    with pytest.raises(Exception):  # asyncpg's own, or ours
        await pool.acquire()


async def test_keywords_of_the_pool_of_asyncpg_keep_their_meaning(
    make_database: MakeDatabase,
) -> None:
    called: list[str] = []

    def note(name: str) -> Callable[[Any], Any]:
        async def hook(connection: Any) -> None:
            called.append(name)
            await connection.execute("SELECT 1")

        return hook

    database = make_database(
        min_size=1,
        max_size=1,
        init=note("init"),
        setup=note("setup"),
        max_queries=10,
        max_inactive_connection_lifetime=100.0,
    )
    await database.connect()
    await database.fetch_val("SELECT 1")
    await database.fetch_val("SELECT 1")

    assert called == ["init", "setup", "setup"]


async def test_record_class_of_asyncpg_is_honoured(make_database: MakeDatabase) -> None:
    import asyncpg

    class Mine(asyncpg.Record):  # type: ignore[misc]  # asyncpg comes without types
        pass

    database: Any = make_database(min_size=1, max_size=1, record_class=Mine)
    await database.connect()

    assert isinstance(await database._backend._pool.fetchrow("SELECT 1"), Mine)
    assert await database.fetch_val("SELECT 1") == 1


async def test_a_pool_of_asyncpg_itself_serves(small: Any, outside: Outside) -> None:
    own = small._backend._pool
    url = str(small.url.replace(driver=None))
    small._backend._pool = await asyncpg.create_pool(url, min_size=1, max_size=2)
    try:
        async with small.transaction():
            await small.execute(accounts.insert(), {"id": 1, "balance": 1})
            async with small.transaction(force_rollback=True):
                await small.execute(accounts.delete())
        with pytest.raises(ZeroDivisionError):
            async with small.transaction(isolation="serializable"):
                await small.execute(accounts.delete())
                raise ZeroDivisionError
        assert [row["id"] async for row in small.iterate(accounts.select())] == [1]
        assert outside.column(accounts.c.id) == [1]
    finally:
        await asyncio.wait_for(small._backend._pool.close(), 5)
        small._backend._pool = own
