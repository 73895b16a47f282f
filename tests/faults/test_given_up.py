"""Statements that are given up in the midst of something, and what goes on after them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest

from databases import Database
from databases.errors import InterfaceError, TransactionStateError
from tests.conftest import MakeDatabase
from tests.faults.acts import (
    end_sessions,
    running,
    slow_query,
    texts,
    until,
    until_not,
    works,
    write,
)
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts, notes
from tests.support.watching import patience

pytestmark = pytest.mark.law

STREAM_LENGTH = 1000  # MariaDB recurs no deeper


@pytest.fixture
async def one(make_database: MakeDatabase) -> Database:
    """Give a connected database with room for one connection."""
    database = make_database(max_size=1)
    await database.connect()
    return database


async def cancelled(work: Any) -> BaseException | None:
    """Cancel *work* after a moment; return what its task ended with."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def test_rolled_back_by_hand(one: Database, outside: Outside, driver: DriverCase) -> None:
    async def work() -> None:
        transaction = await one.transaction()
        try:
            await write(one, "lost")
            await one.fetch_val(slow_query(driver))
        except BaseException:
            await transaction.rollback()
            raise

    assert isinstance(await cancelled(work()), asyncio.CancelledError)
    await works(one, outside)
    assert "lost" not in texts(outside)


async def test_inside_a_block_that_is_always_rolled_back(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async with one.transaction(force_rollback=True):
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await one.fetch_val(slow_query(driver), timeout=0.1)

    await works(one, outside)


async def test_a_commit_after_it_says_that_nothing_was_kept(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    """Where the engine loses no more than the statement, the rest is kept."""
    kept = False
    with contextlib.suppress(TransactionStateError):
        async with one.transaction():
            await write(one, "written")
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await one.fetch_val(slow_query(driver), timeout=0.1)
        kept = True

    await works(one, outside)
    assert ("written" in texts(outside)) == kept


@requires("stops_statements")
async def test_inside_a_savepoint_the_outer_transaction_goes_on(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    async with one.transaction():
        await write(one, "kept")
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            async with one.transaction():
                await write(one, "lost")
                await one.fetch_val(slow_query(driver), timeout=0.1)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            async with one.transaction(timeout=0.1):
                await one.fetch_val(slow_query(driver))
        await write(one, "after")

    assert sorted(texts(outside)) == ["after", "kept"]


@pytest.mark.parametrize("verb", ["fetch_val", "execute", "run_sync"])
async def test_cancelled_as_soon_as_it_is_sent(
    one: Database, outside: Outside, driver: DriverCase, verb: str
) -> None:
    """SQLite takes no notice of an interrupt that comes before the statement."""
    query = slow_query(driver)
    for steps in range(6):
        if verb == "run_sync":
            work: Any = one.run_sync(lambda connection: connection.exec_driver_sql(query).scalar())
        else:
            work = getattr(one, verb)(query)
        task = asyncio.ensure_future(work)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

        await works(one, outside)


@requires("server")
async def test_many_rows_that_wait_for_a_lock(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 0})
    async with make_database(max_size=1) as database, make_database() as other:
        for end in ("timeout", "cancel"):
            async with other.transaction(force_rollback=True):
                await other.execute("UPDATE accounts SET balance = 5 WHERE id = 1")
                work = database.execute_many(
                    "UPDATE accounts SET balance = balance + :k", [{"k": 1}, {"k": 2}]
                )
                if end == "cancel":
                    assert isinstance(await cancelled(work), asyncio.CancelledError)
                else:
                    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
                        await asyncio.wait_for(work, 0.1)
                await until_not(lambda: running(outside, "balance + "), "the server goes on")

        assert await database.fetch_val("SELECT balance FROM accounts") == 0
    await until_not(outside.sessions, "sessions left open")


@requires("file")
@pytest.mark.parametrize("verb", ["execute", "execute_many", "transaction"])
async def test_a_writer_that_waits_for_another_process(
    make_database: MakeDatabase, outside: Outside, verb: str
) -> None:
    """Nothing interrupts SQLite while it waits for a lock; what comes after is not committed."""
    other = sqlite3.connect(outside.path, isolation_level=None)  # type: ignore[attr-defined]  # SQLite's has one
    query = notes.insert().values(text="late")

    async def write_late(database: Database) -> None:
        if verb == "execute":
            await database.execute(query)
        elif verb == "execute_many":
            await database.execute_many(notes.insert(), [{"text": "late"}, {"text": "late"}])
        else:
            async with database.transaction():
                await database.execute(query)

    async with make_database(max_size=1) as database:
        await database.fetch_val("SELECT 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(write_late(database), 0.1)
        assert await asyncio.wait_for(database.fetch_val("SELECT 7"), patience(2)) == 7
        other.execute("ROLLBACK")
        await until(lambda: not outside.open_transactions(), "the lock")
        await asyncio.wait_for(works(database, outside), 10)
    other.close()

    assert "late" not in texts(outside)


@requires("file")
@pytest.mark.parametrize(
    "script",
    [
        "BEGIN IMMEDIATE; INSERT INTO notes (text) VALUES ('late'); COMMIT",
        "BEGIN; INSERT INTO notes (text) VALUES ('late'); END;",
        "BEGIN IMMEDIATE; INSERT INTO notes (text) VALUES ('late')",
        "PRAGMA user_version = 5; INSERT INTO notes (text) VALUES ('late')",
        "SELECT 1; INSERT INTO notes (text) VALUES ('late')",
        "INSERT INTO notes (text) VALUES ('late'); INSERT INTO notes (text) VALUES ('late')",
        "PRAGMA user_version = 5",
        "pragma main.user_version(5)",
        "/* of the program */ PRAGMA application_id=5",
    ],
)
async def test_a_script_that_waits_for_another_process(
    make_database: MakeDatabase, outside: Outside, script: str
) -> None:
    other = sqlite3.connect(outside.path, isolation_level=None)  # type: ignore[attr-defined]  # SQLite's has one
    async with make_database(max_size=1) as database, database.connection() as connection:
        await connection.fetch_val("SELECT 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(connection.execute(script), 0.1)
        other.execute("ROLLBACK")

        assert await asyncio.wait_for(connection.fetch_val("SELECT 7"), patience(2)) == 7
        assert not outside.open_transactions()
        assert await connection.fetch_val("PRAGMA user_version") == 0
        assert await connection.fetch_val("PRAGMA application_id") == 0
        await connection.execute(notes.insert().values(text="on time"))
    other.close()

    assert texts(outside) == ["on time"]


@requires("file")
@pytest.mark.parametrize("verb", ["fetch_all", "fetch_one", "fetch_val", "run"])
async def test_a_pragma_that_is_fetched_and_waits_for_another_process(
    make_database: MakeDatabase, outside: Outside, verb: str
) -> None:
    other = sqlite3.connect(outside.path, isolation_level=None)  # type: ignore[attr-defined]  # SQLite's has one
    async with make_database(max_size=1) as database, database.connection() as connection:
        await connection.fetch_val("SELECT 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(getattr(connection, verb)("PRAGMA user_version = 5"), 0.1)
        other.execute("ROLLBACK")

        assert await connection.fetch_val("PRAGMA user_version") == 0
        assert not await connection.fetch_all("PRAGMA user_version = 6")
        assert await connection.fetch_val("PRAGMA user_version") == 6
        await connection.execute("PRAGMA user_version = 0")
    other.close()


def streamed(driver: DriverCase, *, breaks: bool = False) -> str:
    """Give a query of many rows, of which one may break it."""
    value = "10 / (900 - n)" if breaks else "n"
    if driver.dialect == "postgresql":
        return f"SELECT {value} AS v FROM generate_series(1, {STREAM_LENGTH}) AS n"
    return (
        f"WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < "
        f"{STREAM_LENGTH}) SELECT {value} AS v FROM s"
    )


@pytest.mark.parametrize("max_size", [1, 2])
async def test_while_the_rows_of_a_loop_are_read_into_memory(
    make_database: MakeDatabase, driver: DriverCase, outside: Outside, max_size: int
) -> None:
    """The loop may end with an error; no other query of the task does."""
    async with make_database(max_size=max_size) as database, contextlib.AsyncExitStack() as stack:
        if max_size == 2:
            holder = await stack.enter_async_context(database.connection(new=True))
            assert await holder.fetch_val("SELECT 1") == 1
        rows = 0
        try:
            async for _ in database.iterate(streamed(driver)):
                rows += 1
                if rows > 12:
                    continue
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(database.fetch_val("SELECT 1"), 0.0003 * rows)
                assert await database.fetch_val("SELECT 42") == 42
        except InterfaceError as error:
            assert "cannot read on" in str(error)  # noqa: PT017  # it may be raised or not
        else:
            assert rows == STREAM_LENGTH
        assert await database.fetch_val("SELECT 43") == 43
    await until_not(outside.sessions, "sessions left open")


@requires("arrays")
async def test_an_error_of_a_stream_is_its_loops_and_no_other_querys(
    one: Database, outside: Outside, driver: DriverCase
) -> None:
    rows = 0
    with pytest.raises(driver.error, match="division"):
        async for _ in one.iterate(streamed(driver, breaks=True)):
            rows += 1
            assert await one.fetch_val("SELECT 42") == 42
            await write(one, "kept") if rows == 1 else None

    assert rows
    assert texts(outside) == ["kept"]
    await works(one, outside)


@requires("server")
async def test_the_opening_of_a_connection_in_the_place_of_a_lost_one(
    one: Database, outside: Outside
) -> None:
    """The block goes on, and ends with its own error."""
    with pytest.raises(KeyError, match="its own"):
        async with one.connection() as connection:
            assert await connection.fetch_val("SELECT 1") == 1
            end_sessions(outside)
            await until_not(outside.sessions, "the session lives")
            with contextlib.suppress(Exception):
                await connection.fetch_val("SELECT 1", timeout=5)
            for delay in (0, 0.0003, 0.0006, 0.001, 0.002):
                end_sessions(outside)
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(connection.fetch_val("SELECT 2"), delay)
            await asyncio.sleep(0.05)
            assert await connection.fetch_val("SELECT 3", timeout=5) == 3
            raise KeyError("its own")

    await works(one, outside)


async def test_queries_given_up_again_and_again_in_a_loop(
    one: Database, driver: DriverCase, outside: Outside
) -> None:
    with contextlib.suppress(InterfaceError):
        async for _ in one.iterate(streamed(driver)):
            for delay in (0, 0.0005, 0.001):
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(one.fetch_val("SELECT 1"), delay)
            assert await one.fetch_val("SELECT 42") == 42
            assert await one.fetch_val("SELECT 43") == 43

    await works(one, outside)


async def test_a_stream_inside_a_transaction_both_of_which_are_left_at_once(
    one: Database, outside: Outside
) -> None:
    """The loop ends the generator while what the transaction left is being undone."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(context["message"])
    )

    async def work() -> None:
        async with one.transaction():
            await write(one, "lost")
            async for _ in one.iterate(notes.select()):
                await asyncio.sleep(0)
                raise asyncio.CancelledError

    async def go_on() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await work()
        assert await one.fetch_val("SELECT 1") == 1

    await asyncio.ensure_future(go_on())

    await works(one, outside)
    assert not complaints
    assert "lost" not in texts(outside)
