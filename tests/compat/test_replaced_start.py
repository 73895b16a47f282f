"""``start`` of a transaction, replaced on the class by a program that begins in its own way."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.backends.sqlite import SQLiteTransaction
from databases.core import Transaction
from databases.errors import ConfigurationError
from tests.faults.acts import slow_query
from tests.support.checks import eventually_none
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes

ON_SQLITE = pytest.mark.drivers("aiosqlite")


@pytest.fixture
def begins_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give SQLite's transactions an option that is the program's own."""
    original = SQLiteTransaction.start

    async def start(self: Any, is_root: bool, extra_options: dict[Any, Any]) -> None:
        if is_root and extra_options.get("begins_immediately", False):
            assert self._connection._connection is not None
            async with self._connection._connection.execute("BEGIN IMMEDIATE") as cursor:
                await cursor.close()
            return
        await original(self, is_root, extra_options)

    monkeypatch.setattr(SQLiteTransaction, "start", start)


def writing(database: Any) -> Transaction:
    """Return a transaction that begins in the program's way."""
    transaction: Transaction = database.transaction(begins_immediately=True)
    return transaction


def texts(outside: Outside) -> set[str]:
    """Return the notes that are committed."""
    return set(outside.column(notes.c.text))


def insert(text: str) -> Any:
    """Return the statement that inserts a note."""
    return notes.insert().values(text=text)


@ON_SQLITE
@pytest.mark.usefixtures("begins_immediately")
async def test_it_commits_and_rolls_back(database: Database, outside: Outside) -> None:
    async with writing(database):
        assert outside.open_transactions() != []
        await database.execute(insert("kept"))
    with pytest.raises(KeyError):
        async with writing(database):
            await database.execute(insert("undone"))
            raise KeyError

    assert texts(outside) == {"kept"}
    assert outside.open_transactions() == []


@ON_SQLITE
@pytest.mark.usefixtures("begins_immediately")
async def test_others_nest_inside(database: Database, outside: Outside) -> None:
    async with writing(database):
        await database.execute(insert("outer"))
        async with writing(database):
            await database.execute(insert("inner"))
        with pytest.raises(KeyError):
            async with database.transaction():
                await database.execute(insert("undone"))
                raise KeyError
        await database.execute_many(notes.insert(), [{"text": "many"}])

    assert texts(outside) == {"outer", "inner", "many"}


@ON_SQLITE
@pytest.mark.usefixtures("begins_immediately")
async def test_afterwards_a_held_connection_is_outside(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        async with writing(connection):
            await connection.execute(insert("inside"))
        with pytest.raises(KeyError):
            async with writing(connection):
                raise KeyError
        await connection.execute(insert("after"))

        assert texts(outside) == {"inside", "after"}
        async with connection.transaction():
            await connection.execute(insert("again"))
    assert texts(outside) == {"inside", "after", "again"}


@ON_SQLITE
@pytest.mark.usefixtures("begins_immediately")
async def test_a_statement_given_up_inside_is_survived(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with writing(database):
        await database.execute(insert("before"))
        with pytest.raises(TimeoutError):
            await database.fetch_all(slow_query(driver, 5), timeout=0.1)
        await database.execute(insert("after"))

    assert texts(outside) == {"before", "after"}


@ON_SQLITE
@pytest.mark.usefixtures("begins_immediately")
@pytest.mark.parametrize("is_held", [False, True])
async def test_given_up_while_it_begins_it_has_not_begun(
    database: Database, outside: Outside, *, is_held: bool
) -> None:
    async def begin() -> None:
        async with writing(database):
            raise AssertionError("it has begun")

    async def hold_and_begin() -> None:
        async with database.connection() as connection:
            with pytest.raises(asyncio.CancelledError):
                await begin()
            lock.rollback()
            await connection.execute(insert("own"))

    lock = sqlite3.connect(database.url.database, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(hold_and_begin() if is_held else begin())
    await asyncio.sleep(0.1)
    task.cancel()
    if is_held:
        await task
    else:
        with pytest.raises(asyncio.CancelledError):
            await task
    lock.close()

    await database.execute(insert("later"))
    assert texts(outside) == ({"own", "later"} if is_held else {"later"})
    await eventually_none(outside.open_transactions, "transactions left open")


@ON_SQLITE
async def test_without_it_the_option_is_unknown(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="begins_immediately"):
        async with writing(database):
            pass


async def test_what_it_does_after_the_original_may_fail(
    database: Database, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner: Any = type(database.connection()._connection.transaction())
    original = owner.start

    async def start(self: Any, is_root: bool, extra_options: dict[Any, Any]) -> None:
        await original(self, is_root, extra_options)
        raise LookupError("refused")

    async with database.connection() as connection:
        with monkeypatch.context() as patch:
            patch.setattr(owner, "start", start)
            with pytest.raises(LookupError):
                async with connection.transaction():
                    pass
        await connection.execute(insert("on its own"))
        assert texts(outside) == {"on its own"}

        async with connection.transaction():
            await connection.execute(insert("outer"))
            with monkeypatch.context() as patch:
                patch.setattr(owner, "start", start)
                with pytest.raises(LookupError):
                    async with connection.transaction():
                        pass
            assert await connection.fetch_val(sa.select(sa.func.count(notes.c.id))) == 2
    assert texts(outside) == {"on its own", "outer"}
