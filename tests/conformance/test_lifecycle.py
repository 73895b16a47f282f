"""Connecting and disconnecting: any number of times, on one event loop after another."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import eventually_none, until_waiting, within
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import codes, notes


async def test_connect_and_disconnect(make_database: MakeDatabase) -> None:
    database = make_database()
    assert not database.is_connected

    await database.connect()
    assert database.is_connected
    assert await database.fetch_val("SELECT 1") == 1

    await database.disconnect()
    assert not database.is_connected


async def test_context_manager(make_database: MakeDatabase) -> None:
    database = make_database()

    async with database as entered:
        assert entered is database
        assert database.is_connected

    assert not database.is_connected


async def test_context_manager_disconnects_after_an_exception(make_database: MakeDatabase) -> None:
    database = make_database()

    with pytest.raises(LookupError, match="body"):
        async with database:
            raise LookupError("body")

    assert not database.is_connected


async def test_connecting_twice_is_connecting_once(make_database: MakeDatabase) -> None:
    database = make_database()
    await database.connect()
    size = database.pool_stats().size

    await database.connect()

    assert database.is_connected
    assert database.pool_stats().size == size
    await database.disconnect()
    assert not database.is_connected


async def test_disconnecting_twice_is_disconnecting_once(make_database: MakeDatabase) -> None:
    database = make_database()
    await database.disconnect()
    assert not database.is_connected

    await database.connect()
    await database.disconnect()
    await database.disconnect()

    assert not database.is_connected


async def test_concurrent_connects_make_one_pool(
    make_database: MakeDatabase, outside: Outside
) -> None:
    opened: list[object] = []
    database = make_database(on_connect=opened.append)

    await within(asyncio.gather(*(database.connect() for _ in range(20))))

    assert len(opened) == 1
    assert database.pool_stats().size == 1
    assert await database.fetch_val("SELECT 1") == 1


async def test_concurrent_disconnects(make_database: MakeDatabase) -> None:
    database = make_database()
    await database.connect()

    await within(asyncio.gather(*(database.disconnect() for _ in range(10))))

    assert not database.is_connected


async def test_connecting_again_and_again(make_database: MakeDatabase) -> None:
    database = make_database()

    for number in range(5):
        async with database:
            assert await database.fetch_val("SELECT :n + 0", {"n": number}) == number


def test_connecting_on_one_event_loop_after_another(url: str, outside: Outside) -> None:
    database = Database(url)

    @database.transaction()
    async def decorated(code: str) -> None:
        await database.execute(codes.insert().values(code=code))

    async def use(code: str) -> None:
        async with database:
            await decorated(code)
            async with database.connection() as connection:
                assert await connection.fetch_val("SELECT count(*) FROM codes") == len(code)

    asyncio.run(use("a"))
    asyncio.run(use("ab"))
    asyncio.run(use("abc"))

    assert outside.column(codes.c.code) == ["a", "ab", "abc"]


def test_force_rollback_on_one_event_loop_after_another(url: str, outside: Outside) -> None:
    database = Database(url, force_rollback=True)

    async def use() -> None:
        async with database:
            await database.execute(codes.insert().values(code="a"))
            assert await database.fetch_val("SELECT count(*) FROM codes") == 1

    asyncio.run(use())
    asyncio.run(use())

    assert outside.count(codes) == 0


@requires("server")
async def test_a_query_before_connecting_is_an_assertion_error(
    make_database: MakeDatabase,
) -> None:
    database = make_database()

    with pytest.raises(AssertionError, match="^DatabaseBackend is not running"):
        await database.fetch_val("SELECT 1")
    with pytest.raises(RuntimeError, match="connect"):
        await database.execute("SELECT 1")
    with pytest.raises(AssertionError, match="^DatabaseBackend is not running"):
        [record async for record in database.iterate("SELECT 1")]
    with pytest.raises(AssertionError, match="^DatabaseBackend is not running"):
        async with database.transaction():
            pass


@requires("server")
async def test_a_query_after_disconnecting_is_an_assertion_error(
    make_database: MakeDatabase,
) -> None:
    database = make_database()
    async with database:
        pass

    with pytest.raises(AssertionError, match="^DatabaseBackend is not running"):
        await database.fetch_val("SELECT 1")


async def test_connecting_and_disconnecting_are_logged(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="databases"):
        async with make_database() as database:
            pass

    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    shown = database.url.obscure_password
    assert messages == [f"Connected to database {shown}", f"Disconnected from database {shown}"]


async def test_queries_are_logged_at_debug_level(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="databases"):
        await database.fetch_val("SELECT 4711")
    assert "4711" not in caplog.text

    with caplog.at_level(logging.DEBUG, logger="databases"):
        await database.fetch_val("SELECT 4711")
    assert "4711" in caplog.text


async def test_disconnecting_with_a_task_in_a_query(make_database: MakeDatabase) -> None:
    """It waits for the task, and ends; the task is served or told."""
    database = make_database()
    await database.connect()
    inside, may_go_on = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        async with database.connection() as connection:
            inside.set()
            await may_go_on.wait()
            found: int = await connection.fetch_val("SELECT 5")
            return found

    task = asyncio.create_task(work())
    await inside.wait()
    closing = asyncio.create_task(database.disconnect())
    await asyncio.sleep(0)
    may_go_on.set()

    assert await within(task) == 5
    await within(closing)
    assert not database.is_connected


async def test_disconnecting_from_a_task_inside_a_transaction_that_waits_for_it(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """As `wait_for` does it before Python 3.12: what is open can only be given up."""
    database = make_database()
    await database.connect()

    with pytest.raises(Exception, match="(?i)connect"):  # ours or the driver's
        async with database.transaction():
            await database.execute(notes.insert().values(text="lost"))
            await within(asyncio.create_task(database.disconnect()), 5)

    assert not database.is_connected
    assert not outside.column(notes.c.text)
    await eventually_none(outside.sessions, "sessions left")


async def test_disconnecting_while_a_task_waits_for_a_connection(
    make_database: MakeDatabase,
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    async with database.connection():
        waiting = asyncio.create_task(database.fetch_val("SELECT 1"))
        await until_waiting(database)
        closing = asyncio.create_task(database.disconnect())
        with pytest.raises(AssertionError, match="DatabaseBackend is not running"):
            await within(waiting)
    await within(closing)

    assert not database.is_connected


async def test_it_connects_again_after_being_disconnected_in_use(
    make_database: MakeDatabase,
) -> None:
    database = make_database()
    async with database:
        transaction = await database.transaction()
        await transaction.rollback()

    async with database:
        assert await within(database.fetch_val("SELECT 1")) == 1


async def test_a_connect_that_is_given_up_makes_no_second_pool(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()
    first = asyncio.create_task(database.connect())
    await asyncio.sleep(0)
    second = asyncio.create_task(database.connect())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    third = asyncio.create_task(database.connect())
    await asyncio.gather(second, third)

    assert await database.fetch_val("SELECT 1") == 1
    await database.disconnect()
    await eventually_none(outside.sessions, "sessions left")


async def test_disconnecting_twice_while_a_hook_runs(make_database: MakeDatabase) -> None:
    database = make_database()
    await database.connect()
    goes_on = asyncio.Event()

    async def act() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(goes_on.wait)

    task = asyncio.create_task(act())
    await asyncio.sleep(0.1)
    ends = [asyncio.create_task(database.disconnect()) for _ in range(2)]
    await asyncio.sleep(0.05)
    goes_on.set()

    await asyncio.gather(task, *ends)
    assert not database.is_connected


async def test_connecting_while_force_rollback_ends(make_database: MakeDatabase) -> None:
    database = make_database(force_rollback=True)
    await database.connect()

    ending = asyncio.create_task(database.disconnect())
    await asyncio.sleep(0)
    await database.connect()
    await ending

    assert await database.fetch_val("SELECT 1") == 1


# What a closed loop has not closed itself says so when it is collected.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connecting_again_when_the_loop_has_gone(url: str, outside: Outside) -> None:
    database = Database(url)

    async def connect_and_ask() -> Any:
        await database.connect()
        return await database.fetch_val("SELECT 1")

    assert [asyncio.run(connect_and_ask()) for _ in range(3)] == [1, 1, 1]
    asyncio.run(database.disconnect())
    gc.collect()
    outside.check_left_alone()
