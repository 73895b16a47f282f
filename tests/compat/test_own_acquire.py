"""An ``acquire`` of a program's own, which takes the raw connection of the pool itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = pytest.mark.drivers("aiosqlite", "asyncpg", "aiopg", "aiomysql", "asyncmy")

MOST = 3


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch, outside: Outside) -> list[Any]:
    """Replace ``acquire`` on the class of the connections; gives what it has taken."""
    backend: Any = Database(outside.url)
    cls = type(backend._backend.connection())
    seen: list[Any] = []

    async def acquire(self: Any) -> None:
        if self._connection is not None:
            raise AssertionError("Connection is already acquired")
        pool = self._pool if hasattr(self, "_pool") else self._database._pool
        if pool is None:
            raise AssertionError("DatabaseBackend is not running")
        self._connection = await pool.acquire()
        seen.append(self._connection)

    monkeypatch.setattr(cls, "acquire", acquire)
    return seen


@pytest_asyncio.fixture
async def database(outside: Outside, taken: list[Any]) -> AsyncIterator[Database]:
    """Connect to a small pool, with the replaced ``acquire``."""
    async with Database(outside.url, max_size=MOST) as connected:
        yield connected
        assert connected.pool_stats().in_use == 0


async def test_its_connection_runs_every_verb(database: Database, taken: list[Any]) -> None:
    await database.execute(notes.insert(), {"id": 1, "text": "a"})
    await database.execute_many(notes.insert(), [{"id": 2, "text": "b"}, {"id": 3, "text": "c"}])
    query = sa.select(notes.c.text).order_by(notes.c.id)

    assert [row.text for row in await database.fetch_all(query)] == ["a", "b", "c"]
    assert await database.fetch_val(query) == "a"
    assert [row.text async for row in database.iterate(query)] == ["a", "b", "c"]
    assert len(taken) >= 5


async def test_it_is_the_connection_of_the_block(database: Database, taken: list[Any]) -> None:
    async with database.connection() as connection:
        await connection.fetch_val("SELECT 1")
        assert connection.raw_connection is taken[-1]
        await connection.execute(notes.insert(), {"text": "a"})

        assert connection.raw_connection is taken[-1]
        assert len(taken) == 1


async def test_its_connection_goes_back(database: Database, taken: list[Any]) -> None:
    for _ in range(2 * MOST):
        await database.fetch_val("SELECT 1")
        async with database.connection():
            pass

    assert len(taken) == 4 * MOST


async def test_many_tasks_share_a_small_pool(database: Database) -> None:
    results = await asyncio.gather(*(database.fetch_val("SELECT 7") for _ in range(10 * MOST)))

    assert results == [7] * 10 * MOST


async def test_transactions_stay_on_its_connection(
    database: Database, taken: list[Any], outside: Outside
) -> None:
    async with database.transaction():
        await database.execute(notes.insert(), {"text": "kept"})
        async with database.transaction(force_rollback=True):
            await database.execute(notes.insert(), {"text": "gone"})
    async with database.transaction(force_rollback=True):
        await database.execute(notes.insert(), {"text": "gone too"})

    assert len(taken) == 2
    assert outside.column(notes.c.text) == ["kept"]


async def test_an_error_of_a_statement_leaves_it_usable(database: Database) -> None:
    for _ in range(2 * MOST):
        with pytest.raises(Exception, match="nowhere"):
            await database.fetch_val("SELECT a FROM nowhere")

    assert await database.fetch_val("SELECT 1") == 1


async def test_a_cancelled_statement_gives_its_place_back(
    database: Database, driver: DriverCase
) -> None:
    slow = driver.text(
        postgresql="SELECT pg_sleep(30)",
        mysql="SELECT SLEEP(30)",
        sqlite="WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT n FROM s",
    )
    for _ in range(2 * MOST):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(database.execute(slow), 0.05)

    assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("only", ["release", "acquire and release"])
async def test_a_release_of_its_own_gives_the_connection_back(
    database: Any, monkeypatch: pytest.MonkeyPatch, outside: Outside, only: str
) -> None:
    backend: Any = Database(outside.url)
    released: list[Any] = []
    if only == "release":
        monkeypatch.undo()

    async def release(self: Any) -> None:
        pool = self._pool if hasattr(self, "_pool") else self._database._pool
        released.append(self._connection)
        await pool.release(self._connection)
        self._connection = None

    monkeypatch.setattr(type(backend._backend.connection()), "release", release)

    for number in range(2 * MOST):
        await database.execute(notes.insert(), {"id": number, "text": "a"})
        async with database.transaction():
            await database.execute(notes.update().values(text="b"))

    assert len(released) == 4 * MOST
    assert set(outside.column(notes.c.text)) == {"b"}


async def test_without_a_pool_its_own_error_is_raised(
    database: Any, taken: list[Any], driver: DriverCase
) -> None:
    if driver.name == "aiosqlite":
        pytest.skip("its pool is there without connect()")
    other: Any = Database(database.url)

    with pytest.raises(AssertionError, match="^DatabaseBackend is not running$"):
        await other.fetch_val("SELECT 1")
