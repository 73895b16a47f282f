"""SQLite: a connection that is used again is to programs as one that was opened anew."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sqlite3
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase

pytestmark = pytest.mark.drivers("aiosqlite")


@pytest.fixture
def other(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a second database with one row."""
    path = tmp_path / "the other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
        connection.execute("INSERT INTO things VALUES (7)")
    connection.close()
    return path


async def attach(database: Database, path: pathlib.Path) -> None:
    """Attach the database at *path*."""
    await database.execute(f"ATTACH '{path}' AS \"the other\"")


async def test_an_attached_database(database: Database, other: pathlib.Path) -> None:
    for _ in range(3):
        async with database.connection():
            await attach(database, other)
            assert await database.fetch_val('SELECT id FROM "the other".things') == 7
        await attach(database, other)


async def test_one_attached_on_the_raw_connection(database: Database, other: pathlib.Path) -> None:
    for _ in range(3):
        async with database.connection() as connection:
            await connection.raw_connection.execute(f"ATTACH '{other}' AS other")
            assert await database.fetch_val("SELECT id FROM other.things") == 7


async def test_one_whose_transaction_is_forgotten(
    make_database: MakeDatabase, other: pathlib.Path
) -> None:
    async with make_database() as database:
        for _ in range(3):
            async with database.connection():
                await attach(database, other)
                await database.execute("BEGIN")
                await database.fetch_val('SELECT id FROM "the other".things')


async def test_what_is_attached_as_a_connection_opens_stays(
    make_database: MakeDatabase, other: pathlib.Path
) -> None:
    async def prepare(raw: Any) -> None:
        await raw.execute(f"ATTACH '{other}' AS other")
        await raw.execute("CREATE TEMP TABLE counted AS SELECT 1 AS n")

    async with make_database(on_connect=prepare) as database:
        for _ in range(3):
            async with database.connection():
                await database.execute("CREATE TABLE IF NOT EXISTS one_more (id INTEGER)")
            assert await database.fetch_val("SELECT id FROM other.things") == 7
            assert await database.fetch_val("SELECT n FROM counted") == 1


async def test_temporary_tables(database: Database) -> None:
    for _ in range(3):
        async with database.connection():
            await database.execute("CREATE TEMPORARY TABLE passing (id INTEGER)")
            await database.execute("INSERT INTO passing VALUES (1)")
            await database.execute("CREATE TEMP VIEW seen AS SELECT id FROM passing")
            assert await database.fetch_val("SELECT count(*) FROM seen") == 1
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await database.fetch_val("SELECT count(*) FROM passing")


COUNT = "SELECT count(*) FROM notes"
INSERT = "INSERT INTO notes (text, completed) VALUES ('x', 1)"


def make_anew(path: pathlib.Path, schema: str) -> None:
    """Put an empty database in the place of the one at *path*."""
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(schema)


async def test_a_file_that_is_replaced(database: Database) -> None:
    path = pathlib.Path(database.url.database)
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    await database.execute(INSERT)
    assert await database.fetch_val(COUNT) == 1

    copy.replace(path)

    assert await database.fetch_val(COUNT) == 0
    await database.execute(INSERT)
    async with database.transaction():
        assert await database.fetch_val(COUNT) == 1


async def test_a_file_that_is_removed_and_made_anew(database: Database) -> None:
    path = pathlib.Path(database.url.database)
    await database.execute(INSERT)
    schema = await database.fetch_val("SELECT sql FROM sqlite_master WHERE name = 'notes'")

    make_anew(path, schema)

    async with database.transaction():
        await database.execute(INSERT)
    assert await database.fetch_val(COUNT) == 1
