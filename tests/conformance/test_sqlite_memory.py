"""SQLite in memory: which forms share one database, and for how long it lives."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import requires

pytestmark = requires("file")

ONE_DATABASE = ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///:memory:"]
SHARED_CACHE = "sqlite:///file::memory:?cache=shared&uri=true"


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_it_lives_as_long_as_the_database_is_connected(
    make_database: MakeDatabase, memory_url: str
) -> None:
    async with make_database(memory_url) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")
        await database.execute("INSERT INTO t VALUES (:id)", {"id": 5})

        assert await database.fetch_val("SELECT id FROM t") == 5


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_its_tasks_share_it(make_database: MakeDatabase, memory_url: str) -> None:
    async with make_database(memory_url) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")

        async def work(key: int) -> None:
            async with database.transaction():
                await database.execute("INSERT INTO t VALUES (:id)", {"id": key})

        await within(asyncio.gather(*(work(key) for key in range(20))))

        assert await database.fetch_val("SELECT count(*) FROM t") == 20


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_a_child_task_sees_the_tables_while_its_parent_holds_a_connection(
    make_database: MakeDatabase, memory_url: str
) -> None:
    async with make_database(memory_url) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")

        async def count() -> int:
            found: int = await database.fetch_val("SELECT count(*) FROM t")
            return found

        async with database.connection():
            assert await within(asyncio.create_task(count())) == 0


@pytest.mark.parametrize("memory_url", [*ONE_DATABASE, SHARED_CACHE])
async def test_it_is_gone_after_disconnect(make_database: MakeDatabase, memory_url: str) -> None:
    database = make_database(memory_url)
    async with database:
        await database.execute("CREATE TABLE t (id INTEGER)")

    async with database:
        found = await database.fetch_val("SELECT count(*) FROM sqlite_master")

    assert found == 0


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_two_databases_do_not_share_it(make_database: MakeDatabase, memory_url: str) -> None:
    async with make_database(memory_url) as first, make_database(memory_url) as second:
        await first.execute("CREATE TABLE t (id INTEGER)")

        assert await second.fetch_val("SELECT count(*) FROM sqlite_master") == 0


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_transactions_roll_back_in_it(make_database: MakeDatabase, memory_url: str) -> None:
    async with make_database(memory_url) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")
        async with database.transaction():
            await database.execute("INSERT INTO t VALUES (1)")
            async with database.transaction(force_rollback=True):
                await database.execute("INSERT INTO t VALUES (2)")

        rows = await database.fetch_all("SELECT id FROM t")

    assert [row["id"] for row in rows] == [1]


@pytest.mark.parametrize("memory_url", ONE_DATABASE)
async def test_iterate_lets_the_loop_body_query(
    make_database: MakeDatabase, memory_url: str
) -> None:
    async with make_database(memory_url) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")
        await database.execute_many("INSERT INTO t VALUES (:id)", [{"id": n} for n in range(200)])

        found = [
            await database.fetch_val("SELECT :n + 0", {"n": row["id"]})
            async for row in database.iterate("SELECT id FROM t ORDER BY id")
        ]

    assert found == list(range(200))


@pytest.mark.parametrize("memory_url", [*ONE_DATABASE, SHARED_CACHE])
async def test_force_rollback_in_it(make_database: MakeDatabase, memory_url: str) -> None:
    async with make_database(memory_url, force_rollback=True) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")
        async with database.transaction(force_rollback=True):
            await database.execute("INSERT INTO t VALUES (1)")

        assert await database.fetch_val("SELECT count(*) FROM t") == 0


async def test_a_file_uri_without_a_shared_cache_is_fresh_for_every_acquire(
    make_database: MakeDatabase,
) -> None:
    async with make_database("sqlite:///file::memory:", uri=True) as database:
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE t (id INTEGER)")
            assert await connection.fetch_val("SELECT count(*) FROM sqlite_master") == 1

        assert await database.fetch_val("SELECT count(*) FROM sqlite_master") == 0


@pytest.mark.parametrize(
    ("shared_url", "options"),
    [(SHARED_CACHE, {}), ("sqlite:///file::memory:?cache=shared", {"uri": True})],
    ids=["url", "keyword"],
)
async def test_a_shared_cache_lives_while_connected(
    make_database: MakeDatabase, shared_url: str, options: dict[str, bool]
) -> None:
    async with make_database(shared_url, **options) as database:
        await database.execute("CREATE TABLE t (id INTEGER)")
        await database.execute("INSERT INTO t VALUES (5)")

        async def read() -> int:
            found: int = await database.fetch_val("SELECT id FROM t")
            return found

        assert await database.fetch_val("SELECT id FROM t") == 5
        assert await asyncio.create_task(read()) == 5


async def test_a_shared_cache_is_shared_by_two_databases(make_database: MakeDatabase) -> None:
    async with make_database(SHARED_CACHE) as first, make_database(SHARED_CACHE) as second:
        await first.execute("CREATE TABLE t (id INTEGER)")

        assert await second.fetch_val("SELECT count(*) FROM t") == 0


async def test_queries_work_without_connecting(url: str) -> None:
    """As they always did on SQLite."""
    database = Database(url)

    await database.execute("INSERT INTO codes (code) VALUES ('a')")

    assert await database.fetch_val("SELECT code FROM codes") == "a"
    async with database.transaction(force_rollback=True):
        await database.execute("DELETE FROM codes")
    assert [row["code"] async for row in database.iterate("SELECT code FROM codes")] == ["a"]
    assert not database.is_connected


async def test_a_file_database_reuses_its_connections(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        async with database.connection() as connection:
            first = connection.raw_connection
        async with database.connection() as connection:
            assert connection.raw_connection is first


async def test_many_tasks_may_hold_a_connection_to_a_file(make_database: MakeDatabase) -> None:
    """No upper bound is set unless asked for."""
    async with make_database() as database:
        inside, everybody = 0, asyncio.Event()

        async def hold() -> int:
            nonlocal inside
            async with database.connection() as connection:
                inside += 1
                if inside == 30:
                    everybody.set()
                await everybody.wait()
                found: int = await connection.fetch_val("SELECT 1")
                return found

        assert await within(asyncio.gather(*(hold() for _ in range(30)))) == [1] * 30
