"""Disconnecting while other tasks are inside of transactions: nothing goes around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from databases import Database
from databases.errors import TransactionStateError
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes


@pytest_asyncio.fixture
async def database(driver: DriverCase, make_database: MakeDatabase) -> Database:
    # So a reader does not keep a write beside it from being committed.
    database = make_database(**{"journal_mode": "wal"} if driver.can("file") else {})
    await database.connect()
    return database


class Holder:
    """A task that reads in a transaction, and goes on with *work* when it may."""

    def __init__(self, database: Database, work: Callable[[], Awaitable[None]]) -> None:
        self.may_go_on = asyncio.Event()
        self._inside = asyncio.Event()
        self._database = database
        self._work = work
        self.task = asyncio.create_task(self._run())

    async def until_inside(self) -> None:
        await within(self._inside.wait())

    async def _run(self) -> None:
        async with self._database.transaction():
            await self._database.fetch_all(notes.select())
            self._inside.set()
            await self.may_go_on.wait()
            await self._work()


async def insert(database: Database, text: str) -> None:
    await database.execute(notes.insert().values(text=text))


def texts(outside: Outside) -> list[str]:
    return outside.column(notes.c.text)


@pytest.mark.parametrize("fails", [False, True], ids=["commit", "rollback"])
async def test_a_transaction_goes_on_to_its_end(
    database: Database, outside: Outside, fails: bool
) -> None:
    async def work() -> None:
        await insert(database, "a")
        async with database.transaction():
            await insert(database, "b")
        assert [row.text async for row in database.iterate(notes.select())] == ["a", "b"]
        if fails:
            raise LookupError

    holder = Holder(database, work)
    await holder.until_inside()
    closing = asyncio.create_task(database.disconnect())
    await asyncio.sleep(0)
    holder.may_go_on.set()
    await within(asyncio.wait({holder.task}))
    await within(closing)

    assert isinstance(holder.task.exception(), LookupError if fails else type(None))
    assert texts(outside) == ([] if fails else ["a", "b"])


async def test_nothing_is_kept_of_one_that_takes_too_long(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()
    await database.connect()
    errors: list[Exception] = []

    async def work() -> None:
        for text in ("a", "b"):
            try:
                await insert(database, text)
            except TransactionStateError as error:
                errors.append(error)

    holder = Holder(database, work)
    await holder.until_inside()
    await within(database.disconnect(timeout=0.05))
    holder.may_go_on.set()

    with pytest.raises(TransactionStateError, match="the database was disconnected"):
        await within(holder.task)
    assert len(errors) == 2
    assert texts(outside) == []


async def test_nothing_is_kept_of_ones_own(database: Database, outside: Outside) -> None:
    with pytest.raises(TransactionStateError, match="the database was disconnected"):
        async with database.transaction():
            await database.fetch_all(notes.select())
            await database.disconnect()
            with contextlib.suppress(Exception):
                await insert(database, "a")

    await within(database.connect())
    await insert(database, "b")
    await within(database.disconnect())

    assert texts(outside) == ["b"]


async def test_it_connects_again_beside_one_that_goes_on(
    database: Database, outside: Outside
) -> None:
    async def work() -> None:
        await insert(database, "a")

    holder = Holder(database, work)
    await holder.until_inside()
    closing = asyncio.create_task(database.disconnect())
    await asyncio.sleep(0)
    await within(database.connect())
    async with database.transaction():
        await database.fetch_val("SELECT 1")
        holder.may_go_on.set()
        await within(holder.task)
        await within(closing)
        await insert(database, "b")
    await within(database.disconnect())

    assert texts(outside) == ["a", "b"]
