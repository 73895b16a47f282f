"""Statements that programs send on SQLite's own connection, and whose rows they never read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from databases import Database
from databases.backends.sqlite import SQLiteConnection, SQLitePool
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = pytest.mark.drivers("aiosqlite")

MODE = "PRAGMA journal_mode = TRUNCATE"
MANY = 100


class ModePool(SQLitePool):
    """Prepares what it lends by statements that answer with a row."""

    async def acquire(self) -> Any:
        connection = await super().acquire()
        await connection.execute("PRAGMA busy_timeout = 5000")
        await connection.execute(MODE)
        return connection


@pytest.fixture(params=["pool", "acquire"])
def prepared(
    request: pytest.FixtureRequest, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """Make a database whose program prepares every connection when it is acquired."""
    database: Any = Database(outside.url)
    if request.param == "pool":
        database._backend._pool = ModePool(database.url)
    else:
        original = SQLiteConnection.acquire

        async def acquire(self: Any) -> None:
            await original(self)
            await self._connection.execute(MODE)

        monkeypatch.setattr(SQLiteConnection, "acquire", acquire)
    made: Database = database
    return made


async def test_single_statements_are_committed(prepared: Database, outside: Outside) -> None:
    async with prepared as database:
        for number in range(MANY):
            await database.execute(notes.insert(), {"id": number})

    assert outside.count(notes) == MANY


async def test_transactions_are_committed(prepared: Database, outside: Outside) -> None:
    async def write(number: int) -> None:
        async with prepared.transaction():
            await prepared.execute(notes.insert(), {"id": number})
            async with prepared.transaction():
                await prepared.execute(notes.update().where(notes.c.id == number), {"text": "a"})

    async with prepared:
        await asyncio.gather(*(write(number) for number in range(10)))
        for number in range(10, MANY):
            await write(number)

    assert outside.column(notes.c.text) == ["a"] * MANY


async def test_many_rows_are_committed(prepared: Database, outside: Outside) -> None:
    async with prepared as database:
        for number in range(0, MANY, 2):
            await database.execute_many(notes.insert(), [{"id": number}, {"id": number + 1}])

    assert outside.count(notes) == MANY


async def test_what_comes_after_the_raw_connection_is_committed(
    database: Database, outside: Outside
) -> None:
    for number in range(MANY):
        async with database.connection() as connection:
            await connection.raw_connection.execute(MODE)
            await connection.execute(notes.insert(), {"id": number})

    assert outside.count(notes) == MANY


async def test_a_transaction_ends_after_the_raw_connection(
    database: Database, outside: Outside
) -> None:
    for number in range(MANY):
        async with database.transaction(), database.transaction():
            raw = database.connection().raw_connection
            await raw.execute(f"INSERT INTO notes (id) VALUES ({number}) RETURNING id")

    assert outside.count(notes) == MANY
