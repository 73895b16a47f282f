"""``Connection``: whose it is, how often it is entered, what it lends."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.core import Connection
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase

RAW_CLASSES = {
    "aiosqlite": "aiosqlite.core:Connection",
    "asyncpg": "asyncpg.connection:Connection",
    "psycopg": "psycopg:AsyncConnection",
    "aiopg": "aiopg.connection:Connection",
    "aiomysql": "aiomysql.connection:Connection",
    "asyncmy": "asyncmy.connection:Connection",
}


async def test_connection_is_not_a_coroutine(database: Database) -> None:
    connection = database.connection()

    assert isinstance(connection, Connection)
    assert not inspect.isawaitable(connection)


async def test_a_task_gets_the_same_connection_while_it_is_in_use(database: Database) -> None:
    async with database.connection() as connection:
        assert database.connection() is connection
        async with database.connection() as again:
            assert again is connection


async def test_a_task_gets_the_same_connection_inside_a_transaction(database: Database) -> None:
    async with database.connection() as connection:
        async with database.transaction():
            assert database.connection() is connection


async def test_another_task_gets_another_connection(database: Database) -> None:
    async def other() -> tuple[Connection, Any]:
        async with database.connection() as connection:
            return connection, connection.raw_connection

    async with database.connection() as mine:
        theirs, their_raw = await asyncio.create_task(other())

        assert theirs is not mine
        assert their_raw is not mine.raw_connection


def test_connection_without_a_running_task_is_a_runtime_error(url: str) -> None:
    database = Database(url)

    with pytest.raises(RuntimeError):
        database.connection()


async def test_driver_connection_is_acquired_once_and_released_at_the_last_exit(
    database: Database,
) -> None:
    connection = database.connection()
    backend: Any = connection._connection

    async with connection:
        raw = connection.raw_connection
        async with connection:
            assert connection.raw_connection is raw
        assert backend._connection is not None

    assert backend._connection is None


async def test_connection_can_be_entered_and_left_by_hand(database: Database) -> None:
    connection = database.connection()
    backend: Any = connection._connection

    entered = await connection.__aenter__()
    await connection.__aenter__()
    await connection.__aexit__()
    inside = await connection.fetch_val("SELECT 1")
    await connection.__aexit__(None, None, None)

    assert entered is connection
    assert inside == 1
    assert backend._connection is None


async def test_connection_can_be_used_again_after_its_last_exit(database: Database) -> None:
    connection = database.connection()

    for _ in range(2):
        async with connection:
            assert await connection.fetch_val("SELECT 1") == 1


async def test_raw_connection_is_the_connection_of_the_driver(
    database: Database, driver: Any
) -> None:
    from databases.importer import import_from_string

    async with database.connection() as connection:
        raw = connection.raw_connection

    # asyncpg's pool lends a proxy that passes for the connection.
    assert raw is not None
    assert isinstance(raw, import_from_string(RAW_CLASSES[driver.name]))


async def test_raw_connection_outside_the_block_is_an_error(database: Database) -> None:
    connection = database.connection()

    with pytest.raises(AssertionError, match="^Connection is not acquired"):
        connection.raw_connection  # noqa: B018  # reading it is the point


@pytest.mark.drivers("asyncpg")
async def test_raw_connection_of_asyncpg_copies_records(database: Database) -> None:
    async with database.connection() as connection:
        raw = connection.raw_connection
        await raw.copy_records_to_table("accounts", records=[(1, 10), (2, 20)])

    assert await database.fetch_val("SELECT sum(balance) FROM accounts") == 30


@pytest.mark.drivers("asyncpg")
async def test_raw_connection_of_asyncpg_listens(database: Database) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    def listener(connection: Any, pid: int, channel: str, payload: str) -> None:
        heard.put_nowait(payload)

    async with database.connection() as connection:
        await connection.raw_connection.add_listener("compat", listener)
        await database.execute("NOTIFY compat, 'hello'")

        assert await within(heard.get()) == "hello"

        await connection.raw_connection.remove_listener("compat", listener)


@pytest.mark.drivers("aiosqlite", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_raw_connection_gives_cursors(database: Database, driver: Any) -> None:
    async with database.connection() as connection:
        async with connection.raw_connection.cursor() as cursor:
            await cursor.execute("SELECT 1")

            assert await cursor.fetchone() == (1,)


async def test_queries_of_several_tasks_on_one_connection_take_turns(database: Database) -> None:
    async with database.connection() as connection:
        values = await asyncio.gather(
            *(connection.fetch_val("SELECT :n + 0", {"n": n}) for n in range(20))
        )

    assert values == list(range(20))


async def test_verbs_of_the_database_use_the_connection_of_the_task(
    make_database: MakeDatabase,
) -> None:
    database = make_database(min_size=1, max_size=1)
    await database.connect()

    async with database.connection() as connection:
        assert await database.fetch_val("SELECT 1") == 1
        async with connection.transaction():
            assert await database.fetch_val("SELECT 1") == 1


async def test_connection_starts_transactions(database: Database) -> None:
    async with database.connection() as connection:
        async with connection.transaction(force_rollback=True):
            await connection.execute("INSERT INTO accounts (id, balance) VALUES (1, 2)")

        assert await connection.fetch_all("SELECT * FROM accounts") == []


async def test_a_subclass_runs_queries_of_its_own(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    database = make_database()
    await database.connect()

    class OwnConnection(Connection):
        async def second(self, query: str, values: dict[str, Any]) -> Any:
            clause = self._build_query(query, values)
            assert isinstance(clause, sa.TextClause)
            async with self._query_lock:
                return [row async for row in self._connection.iterate(clause)][1]

    async with OwnConnection(database, database._backend) as connection:
        row = await connection.second("SELECT :a AS a UNION ALL SELECT 2", {"a": 1})
        assert row["a"] == 2
        assert await connection.fetch_val("SELECT 3") == 3


def test_build_query_refuses_what_the_text_does_not_name() -> None:
    assert Connection._build_query("SELECT :a", {"a": 1}).compile().params == {"a": 1}
    with pytest.raises(sa.exc.ArgumentError, match="'b'"):
        Connection._build_query("SELECT :a", {"b": 1})
