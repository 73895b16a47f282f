"""SQLite's last row id, as programs read it on the connection: nothing of an earlier loan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from databases import Database
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection, SQLitePool
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = pytest.mark.drivers("aiosqlite")

LAST_ID = "SELECT last_insert_rowid()"


class IdsConnection(SQLiteConnection):
    """Gives the row id and the count of rows, as sqlite3 tells them."""

    async def execute(self, query: Any) -> Any:
        assert self._connection is not None, "Connection is not acquired"
        text, arguments = self._compile(query)[:2]
        async with self._connection.cursor() as cursor:
            await cursor.execute(text, arguments)
            return cursor.lastrowid, cursor.rowcount


class IdsBackend(SQLiteBackend):
    """Lends such connections."""

    def connection(self) -> SQLiteConnection:
        return IdsConnection(self._pool, self._dialect)


class OwnPool(SQLitePool):
    """Lends what it is lent itself."""

    async def acquire(self) -> Any:
        return await super().acquire()


@pytest_asyncio.fixture
async def derived(outside: Outside) -> AsyncIterator[Database]:
    """Connect through a backend whose `execute` gives the row id."""
    database: Any = Database(outside.url)
    database._backend = IdsBackend(database.url, **database.options)
    async with database:
        yield database


def _upsert(text: str) -> Any:
    query = insert(notes).values(id=7, text=text)
    return query.on_conflict_do_update(index_elements=["id"], set_={"text": text})


async def _raw_upsert(raw: Any) -> Any:
    sql = "INSERT INTO notes (id, text) VALUES (7, 'x') ON CONFLICT (id) DO UPDATE SET text = 'x'"
    cursor = await raw.execute(sql)
    return cursor.lastrowid


async def test_a_derived_execute_is_told_of_a_new_row(derived: Database) -> None:
    assert await derived.execute(_upsert("new")) == (7, 1)


async def test_a_derived_execute_is_not_told_of_an_earlier_row(derived: Database) -> None:
    await derived.execute(notes.insert(), {"id": 9, "text": "earlier"})
    await derived.execute(_upsert("new"))

    assert await derived.execute(_upsert("updated")) == (0, 1)
    assert await derived.fetch_val(sa.select(notes.c.text).where(notes.c.id == 7)) == "updated"


async def test_a_derived_execute_is_not_told_of_what_another_verb_wrote(derived: Database) -> None:
    await derived.execute_many(notes.insert(), [{"id": 7, "text": "a"}, {"id": 8, "text": "b"}])

    assert await derived.execute(_upsert("updated")) == (0, 1)


async def test_a_derived_execute_is_told_of_a_row_of_its_own_block(derived: Database) -> None:
    async with derived.connection() as connection:
        await connection.execute(notes.insert(), {"id": 9, "text": "mine"})

        assert await connection.fetch_val(LAST_ID) == 9


async def test_a_derived_execute_works_where_nothing_may_be_written(outside: Outside) -> None:
    database: Any = Database(outside.url, query_only=True)
    database._backend = IdsBackend(database.url, **database.options)

    async with database:
        assert await database.execute("SELECT 1") == (0, -1)


async def test_the_raw_connection_tells_nothing_of_an_earlier_block(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 7, "text": "earlier"})

    async with database.connection() as connection:
        assert await _raw_upsert(connection.raw_connection) == 0


async def test_the_raw_connection_tells_what_its_block_has_inserted(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 7, "text": "earlier"})

    async with database.connection() as connection:
        await connection.execute(notes.insert(), {"id": 9, "text": "mine"})
        cursor = await connection.raw_connection.execute(LAST_ID)
        assert await cursor.fetchone() == (9,)

        await connection.raw_connection.execute("INSERT INTO notes (id, text) VALUES (11, 'raw')")
        cursor = await connection.raw_connection.execute(LAST_ID)
        assert await cursor.fetchone() == (11,)


async def test_the_raw_connection_in_a_transaction_tells_nothing_of_an_earlier_one(
    database: Database,
) -> None:
    await database.execute(notes.insert(), {"id": 7, "text": "earlier"})

    async with database.transaction():
        assert await _raw_upsert(database.connection().raw_connection) == 0


async def test_the_pool_lends_connections_that_tell_nothing_of_an_earlier_loan(
    database: Any,
) -> None:
    await database.execute(notes.insert(), {"id": 7, "text": "earlier"})
    pool = database._backend._pool

    raw = await pool.acquire()
    try:
        assert await _raw_upsert(raw) == 0
    finally:
        await pool.release(raw)


async def test_an_own_pool_lends_such_connections(outside: Outside) -> None:
    database: Any = Database(outside.url)
    database._backend._pool = OwnPool(database.url)

    async with database:
        await database.execute(notes.insert(), {"id": 7, "text": "earlier"})
        async with database.connection() as connection:
            assert await _raw_upsert(connection.raw_connection) == 0


async def test_a_raw_connection_that_its_program_has_closed_can_be_asked_for(
    database: Database,
) -> None:
    async with database.connection() as connection:
        raw = connection.raw_connection
        await raw.close()

        assert connection.raw_connection is raw
