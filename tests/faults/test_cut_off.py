"""Transactions that end while others are inside them: nothing goes on outside, kept by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from databases import Database
from databases.connection import Connection
from databases.errors import NotConnectedError, TransactionStateError
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query, texts, until, until_not, works, write
from tests.support.drivers import DriverCase
from tests.support.outside import Outside

pytestmark = pytest.mark.law


@pytest.mark.parametrize("outer", ["fails", "ends"])
@pytest.mark.parametrize("steps", range(0, 24, 3))
async def test_a_child_that_is_still_inside(
    make_database: MakeDatabase, outside: Outside, outer: str, steps: int
) -> None:
    """What the child was told holds for all that it wrote."""
    is_told_kept = False

    async def child(connection: Connection) -> None:
        nonlocal is_told_kept
        async with connection.transaction():
            for _ in range(4):
                await write(connection, "child")
                await asyncio.sleep(0)
        is_told_kept = True

    is_outer_kept = False
    async with make_database(max_size=2) as database:
        with contextlib.suppress(KeyError, TransactionStateError):
            async with database.connection() as connection, connection.transaction():
                await write(connection, "outer")
                task = asyncio.create_task(child(connection))
                for _ in range(steps):
                    await asyncio.sleep(0)
                if outer == "fails":
                    raise KeyError
            is_outer_kept = True
        (error,) = await asyncio.gather(task, return_exceptions=True)
        assert error is None or isinstance(error, TransactionStateError), repr(error)
        assert is_told_kept == (error is None)

        found = texts(outside)
        assert found.count("outer") == is_outer_kept
        assert found.count("child") == (4 if is_outer_kept and is_told_kept else 0)
        await works(database, outside)
        assert database.pool_stats().in_use == 0
    await until_not(outside.sessions, "sessions left open")


@pytest.mark.parametrize("steps", range(12))
async def test_a_child_that_begins_while_the_outer_is_cancelled(
    make_database: MakeDatabase, outside: Outside, steps: int
) -> None:
    is_told_kept = False
    children: list[asyncio.Task[None]] = []

    async def child(connection: Connection) -> None:
        nonlocal is_told_kept
        async with connection.transaction():
            await write(connection, "child")
            await write(connection, "child")
        is_told_kept = True

    async def parent(database: Database) -> None:
        async with database.connection() as connection, connection.transaction():
            children.append(asyncio.create_task(child(connection)))
            await asyncio.sleep(60)

    async with make_database(max_size=2) as database:
        task = asyncio.create_task(parent(database))
        await until(lambda: children, "the child")
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        (error,) = await asyncio.gather(*children, return_exceptions=True)

        assert error is None or isinstance(error, TransactionStateError), repr(error)
        # The child's own part, if it began after the outer one had ended.
        assert is_told_kept == (error is None)
        assert texts(outside).count("child") in ((0, 2) if is_told_kept else (0,))
        await works(database, outside)
        del error
        children.clear()
        assert database.pool_stats().in_use == 0


async def test_the_task_inside_is_told_at_its_next_statement(
    make_database: MakeDatabase, outside: Outside
) -> None:
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def child(connection: Connection) -> None:
        transaction = await connection.transaction()
        has_begun.set()
        await has_ended.wait()
        attempts: list[Any] = [
            lambda: write(connection, "lost"),
            lambda: connection.fetch_all("SELECT 1"),
            lambda: connection.execute_many("DELETE FROM notes WHERE id = :id", [{"id": 1}]),
            lambda: connection.transaction().start(),
            lambda: anext(connection.iterate("SELECT 1")),
        ]
        for attempt in attempts:
            with pytest.raises(TransactionStateError, match="ended by the one around it"):
                await attempt()
        with pytest.raises(TransactionStateError, match="has ended"):
            await transaction.commit()
        # From here on the task is outside.
        await write(connection, "kept")

    async with make_database(max_size=1) as database:
        with contextlib.suppress(TransactionStateError):
            async with database.connection() as connection, connection.transaction():
                task = asyncio.create_task(child(connection))
                await has_begun.wait()
        has_ended.set()
        await task
        await works(database, outside)

    assert texts(outside).count("kept") == 1
    assert "lost" not in texts(outside)


@pytest.mark.parametrize("is_kept", [True, False], ids=["held", "forgotten"])
async def test_a_task_that_ends_what_is_around_its_own(
    make_database: MakeDatabase, outside: Outside, *, is_kept: bool
) -> None:
    """It knows: what it does afterwards is outside."""
    held = []

    async def work(database: Database) -> None:
        with pytest.raises(KeyError):
            async with database.transaction():
                inner = await database.transaction()
                if is_kept:
                    held.append(inner)
                del inner
                await write(database, "lost")
                raise KeyError
        await write(database, "kept")
        with contextlib.suppress(TransactionStateError):
            for inner in held:
                await inner.rollback()
        held.clear()
        await write(database, "kept")

    async with make_database(max_size=1) as database:
        await work(database)
        assert database.pool_stats().in_use == 0
        await works(database, outside)

    assert texts(outside).count("kept") == 2
    assert "lost" not in texts(outside)


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
async def test_writes_while_force_rollback_disconnects(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase, *, is_busy: bool
) -> None:
    for steps in range(12):
        database = make_database(force_rollback=True)
        await database.connect()
        busy = asyncio.ensure_future(_slowly(database, driver) if is_busy else asyncio.sleep(0))
        await asyncio.sleep(0)
        leaving = asyncio.create_task(database.disconnect())
        for _ in range(steps):
            await asyncio.sleep(0)
        # Once it has disconnected, SQLite writes as without connect(), and the others refuse.
        if driver.dialect != "sqlite" or not leaving.done():
            with contextlib.suppress(NotConnectedError):
                await write(database, "lost")
        await leaving
        await asyncio.gather(busy, return_exceptions=True)

    assert texts(outside) == []


@pytest.mark.parametrize("steps", range(0, 30, 2))
async def test_a_transaction_while_force_rollback_disconnects(
    make_database: MakeDatabase, outside: Outside, steps: int
) -> None:
    database = make_database(force_rollback=True)
    await database.connect()

    async def work() -> None:
        async with database.transaction():
            await write(database, "lost")
            await write(database, "lost")

    task = asyncio.create_task(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    await database.disconnect()

    (error,) = await asyncio.gather(task, return_exceptions=True)
    told = (NotConnectedError, TransactionStateError)
    assert error is None or isinstance(error, told), repr(error)
    assert texts(outside) == []
    await until_not(outside.sessions, "sessions left open")


@pytest.mark.parametrize("force_rollback", [False, True])
async def test_closed_from_outside_while_it_disconnects(
    make_database: MakeDatabase, outside: Outside, *, force_rollback: bool
) -> None:
    """As the collector closes a coroutine: nothing can be waited for."""
    for error in (GeneratorExit, KeyboardInterrupt):
        database: Database = make_database(force_rollback=force_rollback, min_size=2)
        await database.connect()
        leaving = database.disconnect()
        future: Any = leaving.send(None)
        future._asyncio_future_blocking = False
        if error is GeneratorExit:
            leaving.close()
        else:
            with contextlib.suppress(KeyboardInterrupt, StopIteration):
                future = leaving.throw(KeyboardInterrupt())
                while True:  # it goes on to close: the loop runs it to its end
                    future._asyncio_future_blocking = False
                    await asyncio.wait({future})
                    future = leaving.send(None)
        await until_not(outside.sessions, "sessions left open")
        await until_not(outside.open_transactions, "transactions left open")


@pytest.mark.parametrize("force_rollback", [False, True])
async def test_closed_from_outside_while_it_connects(
    make_database: MakeDatabase, outside: Outside, *, force_rollback: bool
) -> None:
    database: Database = make_database(force_rollback=force_rollback, min_size=2)
    connecting = database.connect()
    future: Any = connecting.send(None)
    future._asyncio_future_blocking = False
    connecting.close()

    await until_not(outside.sessions, "sessions left open")
    await database.connect()
    assert await database.fetch_val("SELECT 42") == 42
    await database.disconnect()


async def test_connected_again_while_it_disconnects(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(force_rollback=True, max_size=3)
    await database.connect()
    stay = asyncio.Event()

    async def hold() -> None:
        async with database.connection() as connection:
            await connection.fetch_val("SELECT 1")
            await stay.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.05)
    leaving = asyncio.create_task(database.disconnect(timeout=1))
    await asyncio.sleep(0.05)
    await database.connect()
    stay.set()
    await leaving
    await holding

    await write(database, "lost")
    await database.disconnect()
    assert texts(outside) == []


async def _slowly(database: Database, driver: DriverCase) -> None:
    await database.fetch_val(slow_query(driver, 0.2))
