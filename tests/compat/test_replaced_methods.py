"""Methods replaced on our classes by wrappers that call the original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.backends.postgres import PostgresConnection
from databases.backends.sqlite import SQLiteConnection, SQLiteTransaction
from tests.conftest import MakeDatabase
from tests.support.tables import notes

Wrap = Callable[[Any, str], list[Any]]


@pytest.fixture
def wrap(monkeypatch: pytest.MonkeyPatch) -> Wrap:
    """Replace a coroutine method by one that notes its object and calls the original."""

    def replace(owner: Any, name: str) -> list[Any]:
        calls: list[Any] = []
        original = getattr(owner, name)

        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = await original(self, *args, **kwargs)
            calls.append(self)
            return result

        monkeypatch.setattr(owner, name, wrapper)
        return calls

    return replace


async def _fetch(database: Database) -> None:
    await database.fetch_all(notes.select())


async def _iterate(database: Database) -> None:
    assert [row async for row in database.iterate(notes.select())] == []


USES: dict[str, Callable[[Database], Any]] = {
    "fetch_all": _fetch,
    "fetch_one": lambda database: database.fetch_one("SELECT 1"),
    "fetch_val": lambda database: database.fetch_val("SELECT 1"),
    "execute": lambda database: database.execute("DELETE FROM notes"),
    "execute_many": lambda database: database.execute_many(notes.insert(), [{"text": "x"}]),
    "iterate": _iterate,
}


@pytest.mark.drivers("aiosqlite")
@pytest.mark.parametrize("use", USES)
async def test_replaced_acquire_of_sqlite_is_taken_by_every_verb(
    database: Database, wrap: Wrap, use: str
) -> None:
    calls = wrap(SQLiteConnection, "acquire")

    await USES[use](database)

    assert len(calls) >= 1
    assert isinstance(calls[0], SQLiteConnection)


@pytest.mark.drivers("asyncpg")
@pytest.mark.parametrize("use", USES)
async def test_replaced_acquire_of_asyncpg_is_taken_by_every_verb(
    database: Database, wrap: Wrap, use: str
) -> None:
    calls = wrap(PostgresConnection, "acquire")

    await USES[use](database)

    assert len(calls) >= 1
    assert isinstance(calls[0], PostgresConnection)


@pytest.mark.drivers("aiosqlite")
async def test_replaced_acquire_of_sqlite_is_taken_by_connection_and_transaction(
    database: Database, wrap: Wrap
) -> None:
    calls = wrap(SQLiteConnection, "acquire")

    async with database.connection():
        async with database.transaction():
            await database.fetch_val("SELECT 1")

    assert len(calls) == 1


@pytest.mark.drivers("asyncpg")
async def test_replaced_acquire_of_asyncpg_is_taken_by_connection_and_transaction(
    database: Database, wrap: Wrap
) -> None:
    calls = wrap(PostgresConnection, "acquire")

    async with database.connection():
        async with database.transaction():
            await database.fetch_val("SELECT 1")

    assert len(calls) == 1


@pytest.mark.drivers("aiosqlite")
async def test_replaced_acquire_of_sqlite_prepares_the_raw_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SQLiteConnection.acquire

    async def acquire(self: Any) -> None:
        await original(self)
        await self._connection.execute("PRAGMA foreign_keys = ON")

    monkeypatch.setattr(SQLiteConnection, "acquire", acquire)

    assert await database.fetch_val("PRAGMA foreign_keys") == 1
    async with database.transaction():
        assert await database.fetch_val("PRAGMA foreign_keys") == 1


@pytest.mark.drivers("asyncpg")
async def test_replaced_acquire_of_asyncpg_prepares_the_raw_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PostgresConnection.acquire

    async def acquire(self: Any) -> None:
        await original(self)
        await self._connection.execute("SET application_name = 'prepared'")

    monkeypatch.setattr(PostgresConnection, "acquire", acquire)

    assert await database.fetch_val("SHOW application_name") == "prepared"
    async with database.transaction():
        assert await database.fetch_val("SHOW application_name") == "prepared"


@pytest.mark.drivers("aiosqlite")
async def test_replaced_start_of_sqlite_is_taken_by_every_transaction(
    database: Database, wrap: Wrap
) -> None:
    calls = wrap(SQLiteTransaction, "start")

    @database.transaction()
    async def decorated() -> None:
        await database.fetch_val("SELECT 1")

    async with database.transaction():
        async with database.transaction():
            pass
    await (await database.transaction()).commit()
    await decorated()

    assert [isinstance(call, SQLiteTransaction) for call in calls] == [True] * 4


@pytest.mark.drivers("aiosqlite")
async def test_replaced_start_of_sqlite_changes_how_a_transaction_begins(
    database: Database, monkeypatch: pytest.MonkeyPatch, outside: Any
) -> None:
    original = SQLiteTransaction.start

    async def start(self: Any, is_root: bool, extra_options: dict[Any, Any]) -> None:
        await original(self, is_root, extra_options)
        if is_root:
            await self._connection._connection.execute("DELETE FROM notes")

    monkeypatch.setattr(SQLiteTransaction, "start", start)
    outside.insert(notes, {"text": "before"})

    async with database.transaction():
        assert await database.fetch_all(sa.select(notes)) == []

    assert outside.count(notes) == 0


@pytest.mark.drivers("aiosqlite")
async def test_start_of_sqlite_can_be_replaced_altogether(
    database: Database, monkeypatch: pytest.MonkeyPatch, outside: Any
) -> None:
    async def start(self: Any, is_root: bool, extra_options: dict[Any, Any]) -> None:
        self._is_root = is_root
        async with self._connection._connection.execute("BEGIN IMMEDIATE"):
            pass

    monkeypatch.setattr(SQLiteTransaction, "start", start)

    async with database.transaction():
        await database.execute(notes.insert(), {"text": "inside"})
        assert outside.open_transactions() != []

    assert outside.column(notes.c.text) == ["inside"]


async def test_original_is_taken_again_after_the_replacement(
    make_database: MakeDatabase, driver: Any
) -> None:
    database = make_database()
    await database.connect()
    owner: Any = type(database.connection()._connection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "acquire", None)

    assert await database.fetch_val("SELECT 1") == 1


async def test_fetch_val_reads_the_rows_of_a_replaced_fetch_one(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = type(database._backend.connection())
    original = cls.fetch_one

    async def fetch_one(self: Any, query: Any) -> Any:
        row = await original(self, query)
        return None if row is None else {0: f"own {row[0]}", "a": f"own {row['a']}"}

    monkeypatch.setattr(cls, "fetch_one", fetch_one)

    assert await database.fetch_val("SELECT 1 AS a") == "own 1"
    assert await database.fetch_val("SELECT 2 AS a", column="a") == "own 2"
    assert await database.fetch_val(sa.select(notes.c.id)) is None
    async with database.connection() as connection:
        assert await connection.fetch_val("SELECT 3 AS a") == "own 3"


async def test_fetch_val_asks_a_fetch_one_replaced_on_the_connection_itself(database: Any) -> None:
    connection = database.connection()
    asked: list[Any] = []
    original = connection._connection.fetch_one

    async def fetch_one(query: Any) -> Any:
        asked.append(query)
        return await original(query)

    connection._connection.fetch_one = fetch_one

    assert await connection.fetch_val("SELECT 1") == 1
    assert len(asked) == 1
