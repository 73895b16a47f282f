"""Callers that give up: the time-out comes in time, the statement stops, nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import (
    ends_in_time,
    has_places,
    running,
    slow_query,
    texts,
    times_out,
    until,
    until_not,
    works,
    write,
)
from tests.faults.operations import INSERT
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts

pytestmark = pytest.mark.law

SECONDS = 0.15


@pytest.fixture
async def one(make_database: MakeDatabase) -> Database:
    """Give a connected database with room for one connection."""
    database = make_database(max_size=1)
    await database.connect()
    return database


async def check_stopped(outside: Outside, driver: DriverCase) -> None:
    """Wait until the server runs no slow query any more."""
    for word in ("sleep", "SLEEP"):
        await until_not(functools.partial(running, outside, word), "the server goes on")
    await until_not(outside.open_transactions, "transactions left open")


@pytest.mark.parametrize("verb", ["fetch_all", "fetch_one", "fetch_val", "execute"])
async def test_a_slow_query(one: Database, outside: Outside, driver: DriverCase, verb: str) -> None:
    await times_out(getattr(one, verb)(slow_query(driver)), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_a_slow_query_under_asyncio_timeout(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async with ends_in_time(SECONDS):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SECONDS):  # type: ignore[attr-defined,unused-ignore]
                await one.fetch_all(slow_query(driver))

    # The same task goes on.
    await works(one, outside)
    await check_stopped(outside, driver)


async def test_a_slow_query_on_a_connection_that_is_held(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async with one.connection() as connection:
        await times_out(connection.fetch_all(slow_query(driver)), SECONDS)
        assert await connection.fetch_val("SELECT 6") == 6

    await works(one, outside)
    await check_stopped(outside, driver)


async def test_around_a_transaction(one: Database, outside: Outside, driver: DriverCase) -> None:
    async def block() -> None:
        async with one.transaction():
            await write(one, "lost")
            await one.fetch_all(slow_query(driver))

    await times_out(block(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_around_a_nested_transaction(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async def block() -> None:
        async with one.transaction():
            await write(one, "lost")
            async with one.transaction():
                await write(one, "lost too")
                await one.fetch_all(slow_query(driver))

    await times_out(block(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_inside_a_transaction_that_is_given_up(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    with pytest.raises(TimeoutError):
        async with one.transaction():
            await write(one, "lost")
            async with ends_in_time(SECONDS):
                async with asyncio.timeout(SECONDS):  # type: ignore[attr-defined,unused-ignore]
                    await one.fetch_all(slow_query(driver))

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_inside_a_transaction_that_goes_on(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    """All of it is kept, or the block says that it is not."""
    kept = True
    try:
        async with one.transaction():
            await write(one, "before")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SECONDS):  # type: ignore[attr-defined,unused-ignore]
                    await one.fetch_all(slow_query(driver))
            await write(one, "after")
    except Exception:
        kept = False

    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside) == (["after", "before"] if kept else [])
    await works(one, outside)
    await check_stopped(outside, driver)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_inside_a_savepoint_of_a_transaction_that_goes_on(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    kept = True
    try:
        async with one.transaction():
            await write(one, "before")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SECONDS):  # type: ignore[attr-defined,unused-ignore]
                    async with one.transaction():
                        await write(one, "never")
                        await one.fetch_all(slow_query(driver))
            await write(one, "after")
    except Exception:
        kept = False

    await until_not(outside.open_transactions, "transactions left open")
    assert texts(outside) == (["after", "before"] if kept else [])
    await works(one, outside)
    await check_stopped(outside, driver)


async def test_a_low_level_transaction(one: Database, outside: Outside, driver: DriverCase) -> None:
    async def block() -> None:
        transaction = await one.transaction()
        try:
            await write(one, "lost")
            await one.fetch_all(slow_query(driver))
        finally:
            await transaction.rollback()

    await times_out(block(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_a_decorated_function(one: Database, outside: Outside, driver: DriverCase) -> None:
    @one.transaction()
    async def work() -> None:
        await write(one, "lost")
        await one.fetch_all(slow_query(driver))

    await times_out(work(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_iterating_over_rows_that_come_slowly(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    slow_rows = driver.text(
        postgresql="SELECT n, pg_sleep(n / 100.0) FROM generate_series(1, 1000) AS n",
        mysql=(
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) "
            "SELECT n, SLEEP(n / 100) FROM s"
        ),
        sqlite=slow_query(driver),
    )

    async def read() -> None:
        async for _ in one.iterate(slow_rows):
            pass

    await times_out(read(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)


async def test_in_the_body_of_a_stream(one: Database, outside: Outside, driver: DriverCase) -> None:
    async def read() -> None:
        async with one.transaction():
            await write(one, "lost")
            async for _ in one.iterate("SELECT 1 UNION SELECT 2 UNION SELECT 3"):
                await one.fetch_all(slow_query(driver))

    await times_out(read(), SECONDS)

    await works(one, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_waiting_for_the_pool(one: Database, outside: Outside) -> None:
    async with one.connection() as connection:
        assert await connection.fetch_val("SELECT 1") == 1

        await times_out(asyncio.ensure_future(one.fetch_val("SELECT 2")), SECONDS)

        assert await connection.fetch_val("SELECT 3") == 3
    await works(one, outside)


async def test_waiting_for_the_pool_to_begin_a_transaction(one: Database, outside: Outside) -> None:
    async def block() -> None:
        async with one.transaction():
            await write(one, "never")

    async with one.connection():
        await times_out(asyncio.ensure_future(block()), SECONDS)

    await works(one, outside)
    assert texts(outside) == ["it works"]


@requires("server")
async def test_waiting_for_a_lock_on_the_server(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    # Not by the outside's own connection: inside a transaction PostgreSQL
    # shows it the same sessions again and again.
    with outside.connection.engine.connect() as locker:
        locker.exec_driver_sql("BEGIN")
        locker.exec_driver_sql("UPDATE accounts SET balance = 11 WHERE id = 1")

        await times_out(one.execute("UPDATE accounts SET balance = 99 WHERE id = 1"), SECONDS)

        await until_not(lambda: running(outside, "balance = 99"), "the server waits on")
        locker.exec_driver_sql("COMMIT")
    await works(one, outside)
    assert outside.column(accounts.c.balance) == [11]


@requires("casts")
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_transaction"])
async def test_the_server_has_a_limit_of_its_own(
    one: Database, outside: Outside, driver: DriverCase, inside: bool
) -> None:
    """Nobody has cancelled the task: it has the driver's error, and goes on."""
    async with one.connection() as connection:
        await connection.execute("SET statement_timeout = 50")
        with pytest.raises(driver.error):
            async with connection.transaction() if inside else contextlib.nullcontext():
                await connection.fetch_val(slow_query(driver))

    await works(one, outside)
    assert await one.fetch_val("SHOW statement_timeout") == "0"


@requires("file")
async def test_waiting_for_a_lock_on_the_file(one: Database, outside: Outside) -> None:
    outside.run("BEGIN IMMEDIATE")
    try:
        await times_out(write(one, "never"), SECONDS)
    finally:
        outside.run("COMMIT")

    # The thread sits in SQLite's own wait for the lock; what it would write
    # after the time-out must not be kept.
    await works(one, outside, 10)
    assert texts(outside) == ["it works"]


async def test_execute_many(one: Database, outside: Outside, driver: DriverCase) -> None:
    rows = [{"text": f"{number}", "completed": True} for number in range(200_000)]
    try:
        async with ends_in_time(0.05):
            await asyncio.wait_for(one.execute_many(INSERT, rows), 0.05)
    except asyncio.TimeoutError:
        pass

    await until_not(outside.open_transactions, "transactions left open")
    assert len(texts(outside)) in (0, len(rows))
    await works(one, outside)


async def test_many_at_once(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=3)
    await database.connect()

    async def block() -> None:
        async with database.transaction():
            await write(database, "lost")
            await database.fetch_all(slow_query(driver))

    work: list[Callable[[], Awaitable[Any]]] = [
        lambda: database.fetch_all(slow_query(driver)),
        *([block] if driver.can("server") else []),
    ]
    async with ends_in_time(SECONDS):
        outcomes = await asyncio.gather(
            *(asyncio.wait_for(work[n % len(work)](), SECONDS) for n in range(12)),
            return_exceptions=True,
        )

    assert all(isinstance(outcome, asyncio.TimeoutError) for outcome in outcomes), outcomes
    await has_places(database, 3)
    await works(database, outside)
    await check_stopped(outside, driver)
    assert texts(outside) == ["it works"]


async def test_cancelled_while_the_server_works(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    query = asyncio.create_task(one.fetch_all(slow_query(driver)))
    if driver.can("server"):
        await until(lambda: running(outside, "sleep") or running(outside, "SLEEP"), "the query")
    else:
        await asyncio.sleep(0.05)

    query.cancel()
    async with ends_in_time(0, "the cancelled query"):
        await asyncio.wait({query})

    assert query.cancelled()
    await works(one, outside)
    await check_stopped(outside, driver)


async def test_disconnecting_while_the_server_works(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    query = asyncio.create_task(database.fetch_all(slow_query(driver)))
    await asyncio.sleep(0.05)
    backend: Any = database._backend
    raws = [slot.raw for slot in backend._pool._slots]

    async with ends_in_time(SECONDS, "disconnect()"):
        await database.disconnect(timeout=SECONDS)

    async with ends_in_time(0, "the query"):
        with pytest.raises(Exception):
            await query
    assert not any(map(backend.driver.is_usable, raws))
    await check_stopped(outside, driver)
    await until_not(outside.sessions, "sessions left")
