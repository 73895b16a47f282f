"""What one user of a connection leaves on it, and what the next one finds."""

from __future__ import annotations

from typing import Any

import pytest

from databases import Database
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes

POSTGRESQL = pytest.mark.drivers("asyncpg", "psycopg", "aiopg")


@POSTGRESQL
async def test_a_role_is_forgotten(make_database: MakeDatabase) -> None:
    database = make_database(max_size=1)
    await database.connect()
    await database.execute("SET ROLE pg_monitor")
    await database.fetch_val("SELECT 1")

    assert await database.fetch_val("SELECT current_user = session_user")


@pytest.mark.drivers("psycopg")
async def test_what_psycopg_keeps_on_its_own_side_is_forgotten(
    make_database: MakeDatabase, outside: Outside
) -> None:
    from psycopg.rows import dict_row

    database = make_database(max_size=1)
    await database.connect()
    async with database.connection() as connection:
        raw: Any = connection.raw_connection
        await raw.set_autocommit(False)
        raw.row_factory = dict_row

    await database.execute(notes.insert(), {"text": "kept"})
    assert outside.column(notes.c.text) == ["kept"]
    assert await database.fetch_val("SELECT 2") == 2


@pytest.mark.drivers("psycopg")
@pytest.mark.parametrize("options", [{"autocommit": False}, {"row_factory": dict}], ids=str)
async def test_arguments_that_queries_cannot_work_with_are_refused(
    url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="cannot connect"):
        await Database(url, **options).connect()


@POSTGRESQL
async def test_a_transaction_that_is_refused_leaves_its_connection_as_it_was(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    async with database.connection() as connection:
        await connection.execute("SET SESSION statement_timeout = 0")
        with pytest.raises(driver.error):
            async with connection.transaction():
                await connection.execute("SELECT nonsense FROM nowhere")
        with pytest.raises(driver.error):
            await connection.execute("SAVEPOINT outside")
        async with connection.transaction():
            await connection.execute(notes.insert(), {"text": "inside"})

    assert await database.fetch_val("SELECT COUNT(*) FROM notes") == 1


@POSTGRESQL
@pytest.mark.parametrize("streams", [False, True])
async def test_a_table_that_changes_elsewhere_is_no_error(
    make_database: MakeDatabase, outside: Outside, *, streams: bool
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    outside.run("CREATE TABLE changing (a INTEGER)")
    outside.run("INSERT INTO changing VALUES (1)")

    async def read() -> list[dict[str, Any]]:
        if streams:
            return [dict(row) async for row in database.iterate("SELECT * FROM changing")]
        return list(map(dict, await database.fetch_all("SELECT * FROM changing")))

    try:
        for _ in range(8):  # psycopg prepares what comes often
            assert await read() == [{"a": 1}]
        outside.run("ALTER TABLE changing ADD COLUMN b TEXT")
        for _ in range(3):
            assert await read() == [{"a": 1, "b": None}]
    finally:
        outside.run("DROP TABLE changing")
