"""Events: what a listener is told of transactions and of connections."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database, DatabaseURL
from databases.errors import PoolTimeoutError
from databases.events import AcquireEvent, ConnectEvent, ReleaseEvent, TransactionEvent
from tests.conftest import MakeDatabase
from tests.support.checks import until_waiting
from tests.support.drivers import DriverCase, requires
from tests.support.heard import Heard


async def test_a_transaction_is_told_with_its_savepoints(database: Database, heard: Heard) -> None:
    async with database.transaction():
        async with database.transaction():
            pass
        with pytest.raises(KeyError):
            async with database.transaction():
                raise KeyError

    assert heard.transactions == [
        ("begin", 1),
        ("begin", 2),
        ("commit", 2),
        ("begin", 2),
        ("rollback", 2),
        ("commit", 1),
    ]


async def test_a_cancelled_transaction_is_rolled_back(database: Database, heard: Heard) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with database.transaction(), database.transaction():
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert heard.transactions[2:] == [("rollback", 2), ("rollback", 1)]


async def test_a_refused_transaction_has_its_error(database: Database, heard: Heard) -> None:
    with pytest.raises(ValueError):
        async with database.transaction(no_such_option=True):
            pass

    (event,) = heard.of(TransactionEvent)
    assert (event.operation, event.depth) == ("begin", 1)
    assert isinstance(event.error, ValueError)


async def test_a_connection_is_acquired_once_for_a_block(database: Database, heard: Heard) -> None:
    async with database.connection() as connection:
        await connection.fetch_all("SELECT 1")
        await database.fetch_all("SELECT 1")

    assert len(heard.of(AcquireEvent)) == 1
    assert isinstance(heard[0], AcquireEvent)


async def test_a_connection_is_told_of_from_its_opening_to_its_return(
    make_database: MakeDatabase, driver: DriverCase, url: str
) -> None:
    heard = Heard()
    database = make_database(min_size=1)
    stop = database.listen(heard.append)

    async with database:
        async with database.connection() as connection:
            await connection.fetch_val("SELECT 1")
            assert not heard.of(ReleaseEvent)
            await asyncio.sleep(0.02)
        (opened,), (released,) = heard.of(ConnectEvent), heard.of(ReleaseEvent)
        assert released is heard[-1]
        stop()
        await database.fetch_val("SELECT 1")

    assert released is heard[-1]
    assert opened.error is None
    assert opened.duration > 0
    assert released.duration >= 0.02
    assert released.source == opened.source
    assert opened.source.namespace == DatabaseURL(url).database


@requires("server")
async def test_a_connection_that_cannot_be_opened_is_told_of(
    make_database: MakeDatabase, driver: DriverCase, url: str
) -> None:
    heard = Heard()
    database = make_database(str(DatabaseURL(url).replace(port=1)))
    database.listen(heard.append)

    with pytest.raises((driver.error, OSError)):
        await database.connect()

    (event,) = heard
    assert isinstance(event, ConnectEvent)
    assert isinstance(event.error, (driver.error, OSError))
    heard.clear()  # the error keeps alive what it came through


async def test_an_acquire_says_how_long_the_task_waited(make_database: MakeDatabase) -> None:
    heard = Heard()
    async with make_database(max_size=1) as database:
        database.listen(heard.append)

        async def wait() -> None:
            await database.fetch_val("SELECT 1")

        async with database.connection():
            task = asyncio.ensure_future(wait())
            await until_waiting(database)
            await asyncio.sleep(0.1)
        await task

    free, busy = heard.of(AcquireEvent)
    assert free.duration < busy.duration
    assert busy.duration >= 0.09


async def test_a_connection_that_is_not_to_be_had_is_an_error(make_database: MakeDatabase) -> None:
    heard = Heard()
    async with make_database(max_size=1, acquire_timeout=0.05) as database:
        database.listen(heard.append)

        async def wait() -> None:
            await database.fetch_val("SELECT 1")

        async with database.connection():
            with pytest.raises(PoolTimeoutError):
                await asyncio.ensure_future(wait())

    assert isinstance(heard.of(AcquireEvent)[1].error, PoolTimeoutError)
