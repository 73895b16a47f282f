"""What a program sets on the raw connection to SQLite ends with its loan."""

from __future__ import annotations

import gc
import sqlite3
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = requires("file")


@pytest.fixture
async def one(make_database: MakeDatabase, outside: Outside) -> Database:
    """Give a connected database with room for one connection, and a row in it."""
    outside.insert(notes, {"id": 1, "text": "a", "completed": True})
    database = make_database(max_size=1)
    await database.connect()
    return database


def change(raw: Any) -> None:
    """Change all that sqlite3 lets be changed."""
    raw.text_factory = bytes
    raw.row_factory = sqlite3.Row
    raw.isolation_level = "IMMEDIATE"


async def is_as_before(database: Database, outside: Outside) -> None:
    """Check that rows are as ever, and that writes are kept."""
    assert await database.fetch_val("SELECT text FROM notes WHERE id = 1") == "a"
    row: Any = await database.fetch_one("SELECT id, text FROM notes WHERE id = 1")
    assert (row["id"], row["text"]) == (1, "a")
    query = "INSERT INTO notes (text, completed) VALUES ('b', 1) RETURNING text"
    assert await database.fetch_val(query) == "b"
    await database.execute("PRAGMA user_version")
    assert outside.column(notes.c.text) == ["a", "b"]


async def test_at_the_end_of_a_block(one: Database, outside: Outside) -> None:
    async with one.connection() as connection:
        change(connection.raw_connection)

    await is_as_before(one, outside)


async def test_at_the_end_of_a_block_that_leaves_a_transaction_open(
    one: Database, outside: Outside
) -> None:
    """Which is rolled back, and not committed by sqlite3."""
    async with one.connection() as connection:
        change(connection.raw_connection)
        await connection.raw_connection.execute("INSERT INTO notes (text) VALUES ('lost')")

    await is_as_before(one, outside)


async def test_when_the_connection_is_forgotten(one: Database, outside: Outside) -> None:
    connection: Any = one._backend.connection()
    await connection.acquire()
    change(connection.raw_connection)
    del connection
    gc.collect()

    await is_as_before(one, outside)


async def test_when_the_pool_gets_it_back(one: Database, outside: Outside) -> None:
    pool: Any = one._backend._pool  # type: ignore[attr-defined]  # ours has one
    raw = await pool.acquire()
    change(raw)
    await pool.release(raw)

    await is_as_before(one, outside)


async def test_what_each_new_connection_is_given_stays(
    make_database: MakeDatabase, outside: Outside
) -> None:
    outside.insert(notes, {"id": 1, "text": "a", "completed": True})

    def choose(raw: Any) -> None:
        raw.text_factory = lambda text: text.decode().upper()

    async with make_database(max_size=1, on_connect=choose) as database:
        async with database.connection() as connection:
            change(connection.raw_connection)

        assert await database.fetch_val("SELECT text FROM notes") == "A"
