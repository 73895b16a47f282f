"""Private names of the facade that programs and their tests read, assign and replace."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import MutableMapping
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from databases import Database
from databases.core import Connection
from databases.interfaces import ConnectionBackend, DatabaseBackend, TransactionBackend
from tests.support.outside import Outside
from tests.support.tables import notes


class AcquireError(Exception):
    """Raised by the mocked ``acquire``."""


def _failing(connection: Any) -> Any:
    """Make the ``acquire`` of *connection* raise, as tests of programs do."""
    acquire = mock.AsyncMock(side_effect=AcquireError)
    return mock.patch.object(connection._connection, "acquire", acquire)


async def test_backend_can_be_read(database: Any) -> None:
    assert isinstance(database._backend, DatabaseBackend)


async def test_backend_can_be_assigned(database: Any, outside: Outside) -> None:
    other: Any = Database("postgresql://host/nowhere")
    other._backend = Database(outside.url)._backend

    async with other:
        assert await other.fetch_val("SELECT 1") == 1


async def test_connection_map_is_a_mapping_from_task_to_connection(database: Any) -> None:
    connections = database._connection_map

    async with database.connection() as connection:
        assert isinstance(connections, MutableMapping)
        assert dict(connections) == {asyncio.current_task(): connection}


async def test_connection_is_in_the_map_before_it_is_entered(database: Any) -> None:
    connection = database.connection()

    assert database._connection_map[asyncio.current_task()] is connection
    assert database.connection() is connection


async def test_entry_goes_when_the_connection_is_fully_released(database: Any) -> None:
    async with database.connection():
        async with database.connection():
            pass
        assert len(database._connection_map) == 1

    assert len(database._connection_map) == 0


async def test_entry_goes_after_a_query_and_a_transaction(database: Any) -> None:
    await database.fetch_val("SELECT 1")
    async with database.transaction():
        await database.fetch_val("SELECT 1")

    assert len(database._connection_map) == 0


async def test_entry_goes_when_its_task_is_collected(database: Any) -> None:
    async def ask() -> None:
        database.connection()

    await asyncio.create_task(ask())
    # The loop itself refers to the task until its next step.
    await asyncio.sleep(0)
    gc.collect()

    assert len(database._connection_map) == 0


async def test_every_task_has_an_entry_of_its_own(database: Any) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def enter() -> None:
        async with database.connection():
            entered.set()
            await leave.wait()

    async with database.connection() as mine:
        task = asyncio.create_task(enter())
        await entered.wait()
        during = dict(database._connection_map)
        leave.set()
        await task

        assert set(during) == {asyncio.current_task(), task}
        assert during[task] is not mine
        assert set(database._connection_map) == {asyncio.current_task()}


async def test_connection_of_a_connection_is_its_backend(database: Any) -> None:
    connection = database.connection()

    assert isinstance(connection._connection, ConnectionBackend)
    backend: Any = connection._connection
    async with connection:
        assert backend.raw_connection is connection.raw_connection
        assert backend._connection is not None


async def test_failing_acquire_leaves_the_connection_released(database: Any) -> None:
    connection = database.connection()

    with _failing(connection):
        for _ in range(2):
            with pytest.raises(AcquireError):
                await connection.__aenter__()

    assert connection._connection._connection is None
    async with connection:
        assert await connection.fetch_val("SELECT 1") == 1
    assert connection._connection._connection is None


async def test_failing_acquire_reaches_the_caller_of_a_query(database: Any) -> None:
    connection = database.connection()

    with _failing(connection), pytest.raises(AcquireError):
        await database.fetch_all("SELECT 1")

    assert await database.fetch_val("SELECT 1") == 1
    assert len(database._connection_map) == 0


async def test_failing_acquire_leaves_no_transaction(database: Any) -> None:
    connection = database.connection()

    with _failing(connection), pytest.raises(AcquireError):
        async with database.transaction():
            pytest.fail("must not get here")

    assert connection._transaction_stack == []
    async with database.transaction(force_rollback=True):
        assert await database.fetch_val("SELECT 1") == 1


async def test_failing_acquire_of_the_class_is_counted_right(database: Any) -> None:
    owner = type(database.connection()._connection)

    with mock.patch.object(owner, "acquire", mock.AsyncMock(side_effect=AcquireError)):
        for _ in range(3):
            with pytest.raises(AcquireError):
                await database.execute("DELETE FROM notes")

    assert await database.fetch_val("SELECT 1") == 1


async def test_transaction_stack_holds_the_running_transactions(database: Any) -> None:
    async with database.connection() as connection:
        assert list(connection._transaction_stack) == []
        async with database.transaction() as outer:
            assert list(connection._transaction_stack) == [outer]
            async with database.transaction() as inner:
                assert list(connection._transaction_stack) == [outer, inner]
            assert list(connection._transaction_stack) == [outer]
        assert list(connection._transaction_stack) == []


async def test_transaction_of_a_transaction_is_its_running_backend(database: Any) -> None:
    transaction = database.transaction()
    before = transaction._transaction

    async with transaction:
        running = transaction._transaction
        assert isinstance(running, TransactionBackend)

    assert before is None
    assert transaction._transaction is None


async def test_transaction_of_an_inner_one_differs_from_the_outer_one(database: Any) -> None:
    async with database.transaction() as outer:
        async with database.transaction() as inner:
            assert inner._transaction is not outer._transaction


async def test_global_connection_is_a_connection(outside: Outside) -> None:
    database: Any = Database(outside.url, force_rollback=True)

    async with database:
        assert isinstance(database._global_connection, Connection)

    assert database._global_connection is None


async def test_the_entry_of_the_current_task_can_be_read(database: Any) -> None:
    assert await _entry_of(database) is None

    connection = database.connection()
    assert await _entry_of(database) is connection

    async with connection:
        assert await _entry_of(database) is connection
        assert connection._connection_counter == 1
        assert await asyncio.create_task(_entry_of(database)) is None
    assert await _entry_of(database) is None
    assert connection._connection_counter == 0


async def _entry_of(database: Any) -> Any:
    return database._connection


async def test_the_entry_of_the_current_task_can_be_replaced(database: Any) -> None:
    first = database.connection()

    database._connection = None
    second = database.connection()
    assert second is not first

    database._connection = first
    assert database.connection() is first
    database._connection = None
    database._connection = None
    assert len(database._connection_map) == 0


def test_without_a_task_there_is_no_entry_to_read(outside: Outside) -> None:
    database: Any = Database(outside.url)

    with pytest.raises(RuntimeError):
        _ = database._connection


async def test_a_subclass_that_looks_at_its_entry_works(outside: Outside) -> None:
    class Watching(Database):
        def connection(self, *, new: bool = False) -> Connection:
            mine: Any = self
            entry = mine._connection
            if entry is not None and not entry._connection_counter:
                mine._connection = None
            return super().connection(new=new)

        async def fetch_val(self, *args: Any, **kwargs: Any) -> Any:
            return await super().fetch_val(*args, **kwargs)

    async with Watching(outside.url) as database:
        assert await database.fetch_val("SELECT 1") == 1
        async with database.transaction():
            await database.execute("INSERT INTO notes (text) VALUES ('written')")
            assert await database.fetch_val("SELECT text FROM notes") == "written"
        assert await asyncio.gather(*(database.fetch_val("SELECT 2") for _ in range(5))) == [2] * 5
    assert outside.rows(sa.select(notes.c.text)) == [("written",)]
