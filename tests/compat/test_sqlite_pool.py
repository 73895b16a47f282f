"""``SQLitePool``: built, subclassed and assigned by programs."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from databases import Database, DatabaseURL
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection, SQLitePool
from tests.support.tables import notes


class CountingPool(SQLitePool):
    """Counts what it lends and turns foreign keys on."""

    def __init__(self, url: DatabaseURL, **options: Any) -> None:
        super().__init__(url, **options)
        self.acquired = 0
        self.released = 0

    async def acquire(self) -> Any:
        connection = await super().acquire()
        self.acquired += 1
        await connection.execute("PRAGMA foreign_keys = ON")
        return connection

    async def release(self, connection: Any) -> None:
        self.released += 1
        await super().release(connection)


class OwnPool:
    """Derived from nothing: it only has ``acquire`` and ``release``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lent: list[Any] = []

    async def acquire(self) -> Any:
        connection = await aiosqlite.connect(self.path, isolation_level=None)
        self.lent.append(connection)
        return connection

    async def release(self, connection: Any) -> None:
        self.lent.remove(connection)
        await connection.close()


@pytest.fixture
def url(tmp_path: pathlib.Path) -> DatabaseURL:
    """Name a file that does not exist yet."""
    return DatabaseURL(f"sqlite:///{tmp_path}/test.db")


async def test_backend_has_a_pool_while_connected(url: DatabaseURL) -> None:
    database: Any = Database(url)

    async with database:
        assert isinstance(database._backend._pool, SQLitePool)


async def test_pool_lends_connections_of_aiosqlite(url: DatabaseURL) -> None:
    pool = SQLitePool(url)

    connection: Any = await pool.acquire()
    cursor = await connection.execute("SELECT 1")
    row = await cursor.fetchone()
    await cursor.close()
    await pool.release(connection)

    assert isinstance(connection, aiosqlite.Connection)
    assert tuple(row) == (1,)


async def test_pool_takes_the_options_of_the_driver(url: DatabaseURL) -> None:
    pool = SQLitePool(url, timeout=3, detect_types=0)

    connection = await pool.acquire()
    await pool.release(connection)

    assert connection is not None


async def test_pool_over_a_url_with_a_query_opens_the_file(url: DatabaseURL) -> None:
    pool = SQLitePool(DatabaseURL(f"{url}?timeout=3"))

    connection: Any = await pool.acquire()
    cursor = await connection.execute("PRAGMA database_list")
    row = await cursor.fetchone()
    await cursor.close()
    await pool.release(connection)

    assert row[2] == url.database


async def test_assigned_pool_is_used_from_then_on(url: DatabaseURL) -> None:
    database: Any = Database(url)
    pool = CountingPool(database.url, **database.options)
    database._backend._pool = pool

    async with database:
        assert await database.fetch_val("PRAGMA foreign_keys") == 1
        await database.execute(CreateTable(notes))
        async with database.transaction():
            await database.execute(notes.insert(), {"text": "x"})
        texts = [row["text"] async for row in database.iterate(notes.select())]

        assert database._backend._pool is pool

    assert texts == ["x"]
    assert pool.acquired >= 3
    assert pool.released == pool.acquired


async def test_pool_assigned_while_connected_is_used_from_then_on(url: DatabaseURL) -> None:
    database: Any = Database(url)

    async with database:
        await database.fetch_val("SELECT 1")
        pool = CountingPool(database.url)
        database._backend._pool = pool
        assert await database.fetch_val("PRAGMA foreign_keys") == 1

    assert (pool.acquired, pool.released) == (1, 1)


async def test_assigned_pool_gets_back_what_a_failed_query_held(url: DatabaseURL) -> None:
    database: Any = Database(url)
    pool = database._backend._pool = CountingPool(database.url)

    async with database:
        with pytest.raises(Exception, match="no such table"):
            await database.fetch_all("SELECT * FROM nowhere")

    assert (pool.acquired, pool.released) == (1, 1)


async def test_assigned_pool_serves_tasks_at_once(url: DatabaseURL) -> None:
    database: Any = Database(url)
    pool = database._backend._pool = CountingPool(database.url)

    async with database:
        values = await asyncio.gather(
            *(database.fetch_val("SELECT :n + 0", {"n": n}) for n in range(10))
        )

    assert values == list(range(10))
    assert pool.released == pool.acquired == 10


async def test_pool_that_derives_from_nothing_is_used(url: DatabaseURL) -> None:
    database: Any = Database(url)
    pool = database._backend._pool = OwnPool(url.database)

    async with database:
        await database.execute(CreateTable(notes))
        async with database.connection() as connection:
            assert connection.raw_connection is pool.lent[0]
            await database.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])

        assert await database.fetch_val(sa.select(sa.func.count()).select_from(notes)) == 2

    assert pool.lent == []


async def test_connection_is_made_over_a_pool_and_a_dialect(url: DatabaseURL) -> None:
    backend: Any = Database(url)._backend
    pool = CountingPool(url)
    connection = SQLiteConnection(pool, backend._dialect)

    await connection.acquire()
    rows = await connection.fetch_all(sa.text("SELECT 1 AS one"))
    await connection.release()

    assert [dict(row) for row in rows] == [{"one": 1}]
    assert (pool.acquired, pool.released) == (1, 1)


async def test_backend_with_a_pool_of_its_own(url: DatabaseURL) -> None:
    class Backend(SQLiteBackend):
        def __init__(self, database_url: Any, **options: Any) -> None:
            super().__init__(database_url, **options)
            self._pool: Any = CountingPool(self._database_url, **self._options)

    database: Any = Database(url)
    database._backend = Backend(url)

    async with database:
        assert await database.fetch_val("PRAGMA foreign_keys") == 1
        async with database.transaction(force_rollback=True):
            await database.execute(CreateTable(notes))
        assert await database.fetch_all("SELECT name FROM sqlite_master") == []

    pool = database._backend._pool
    assert pool.released == pool.acquired == 3


async def test_replaced_acquire_of_the_pool_class_is_taken(
    url: DatabaseURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    original = SQLitePool.acquire

    async def acquire(self: Any) -> Any:
        calls.append(self)
        return await original(self)

    monkeypatch.setattr(SQLitePool, "acquire", acquire)
    database: Any = Database(url)

    async with database:
        await database.fetch_val("SELECT 1")

        assert len(calls) >= 1


def test_pool_made_by_hand_lets_the_process_end(url: DatabaseURL) -> None:
    program = f"""
import asyncio
from databases.backends.sqlite import SQLitePool
from databases import DatabaseURL

async def main():
    pool = SQLitePool(DatabaseURL({str(url)!r}))
    for _ in range(2):
        await pool.release(await pool.acquire())

asyncio.run(main())
print("ended")
"""

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.stdout, ended.stderr, ended.returncode) == ("ended\n", "", 0)
