"""Transactions whose end is given up, fails half way, or is wanted by two tasks at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from databases import Database
from databases.errors import TransactionStateError
from tests.conftest import MakeDatabase
from tests.faults.acts import end_sessions, slow_query
from tests.support.checks import eventually_none
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import notes


def insert(text: str) -> Any:
    """Return the statement that inserts a note."""
    return notes.insert().values(text=text)


def texts(outside: Outside) -> set[str]:
    """Return the notes that are committed."""
    return set(outside.column(notes.c.text))


async def cancelled(task: asyncio.Task[Any], after: float) -> None:
    """Cancel *task* after so many seconds and wait for its end."""
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_while_it_waits_to_end_it_is_rolled_back(
    database: Database, outside: Outside, driver: DriverCase, *, fails: bool
) -> None:
    queries: list[asyncio.Task[Any]] = []
    ends: list[str] = []

    async def begin_and_leave(connection: Any) -> None:
        async with connection.transaction() as transaction:
            transaction.on_commit(lambda: ends.append("commit"))
            transaction.on_rollback(lambda: ends.append("rollback"))
            await connection.execute(insert("given up"))
            query = connection.fetch_all(slow_query(driver, 0.6))
            queries.append(asyncio.create_task(query))
            await asyncio.sleep(0.05)
            if fails:
                raise KeyError

    async with database.connection() as connection:
        await cancelled(asyncio.create_task(begin_and_leave(connection)), after=0.2)
        await asyncio.wait(queries)
        await connection.execute(insert("after"))
        assert texts(outside) == {"after"}
        async with connection.transaction():
            await connection.execute(insert("again"))
        assert texts(outside) == {"after", "again"}
    assert ends == ["rollback"]


async def test_nested_and_cancelled_while_it_waits_to_end_it_is_rolled_back(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    queries: list[asyncio.Task[Any]] = []

    async def begin_and_leave() -> None:
        async with database.transaction():
            await database.execute(insert("outer"))
            try:
                async with database.transaction(timeout=0.3):
                    await database.execute(insert("given up"))
                    query = database.connection().fetch_all(slow_query(driver, 0.6))
                    queries.append(asyncio.create_task(query))
                    await asyncio.sleep(0.05)
            except TimeoutError:
                await asyncio.wait(queries)

    await begin_and_leave()

    assert queries[0].done()
    assert texts(outside) == {"outer"}


async def test_under_force_rollback_it_is_undone_too(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    database = make_database(force_rollback=True)
    await database.connect()

    async def begin_and_leave() -> None:
        async with database.transaction():
            await database.execute(insert("given up"))
            queries.append(asyncio.create_task(database.fetch_all(slow_query(driver, 0.6))))
            await asyncio.sleep(0.05)

    queries: list[asyncio.Task[Any]] = []
    await cancelled(asyncio.create_task(begin_and_leave()), after=0.2)
    await asyncio.wait(queries)

    assert await database.fetch_val("SELECT COUNT(*) FROM notes") == 0


async def test_ended_by_two_tasks_it_leaves_its_connection_once(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        transaction = await connection.transaction()
        await connection.execute(insert("one"))
        results = await asyncio.gather(
            transaction.commit(), transaction.rollback(), return_exceptions=True
        )
        assert results[0] is None
        assert isinstance(results[1], TransactionStateError)

        assert database.connection() is connection
        async with connection.transaction():
            await connection.execute(insert("two"))
    assert texts(outside) == {"one", "two"}


async def test_one_that_waits_to_end_what_another_ends_may_be_cancelled(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        transaction = await connection.transaction()
        await connection.execute(insert("one"))
        query = asyncio.create_task(connection.fetch_all(slow_query(driver, 0.3)))
        await asyncio.sleep(0.05)
        first = asyncio.create_task(transaction.commit())
        await asyncio.sleep(0)
        second = asyncio.create_task(transaction.commit())
        await asyncio.sleep(0)
        await query
        second.cancel()
        results = await asyncio.gather(first, second, return_exceptions=True)

        assert results[0] is None
        assert await connection.fetch_val("SELECT 1") == 1
    assert texts(outside) == {"one"}


@requires("server")
async def test_when_the_session_ends_first_everything_is_over(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        with pytest.raises(KeyError):
            async with connection.transaction():
                inner = await connection.transaction()
                await connection.execute(insert("lost"))
                assert end_sessions(outside)
                with pytest.raises(Exception):  # the driver's own
                    await connection.fetch_val("SELECT 1")
                raise KeyError

        with pytest.raises(TransactionStateError):
            await inner.rollback()
        assert await connection.fetch_val("SELECT 1") == 1
        await connection.execute(insert("after"))
    assert texts(outside) == {"after"}


async def test_given_up_on_a_connection_that_is_held_on_it_does_not_stay_open(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        with pytest.raises(TimeoutError):
            async with connection.transaction(timeout=0.2):
                await connection.execute(insert("given up"))
                await connection.fetch_all(slow_query(driver, 5))

        await eventually_none(outside.open_transactions, "transactions left open")
        assert await connection.fetch_val("SELECT COUNT(*) FROM notes") == 0


async def test_a_loop_left_on_a_connection_that_is_held_on_leaves_nothing_open(
    database: Database, outside: Outside
) -> None:
    outside.insert(notes, *[{"text": "x"} for _ in range(600)])
    async with database.connection() as connection:
        async for _ in connection.iterate("SELECT * FROM notes"):
            break

        await eventually_none(outside.open_transactions, "transactions left open")
        assert await connection.fetch_val("SELECT COUNT(*) FROM notes") == 600


@pytest.mark.parametrize("is_released", [False, True])
async def test_given_up_while_a_savepoint_is_released_it_is_not_kept(
    database: Database, outside: Outside, monkeypatch: pytest.MonkeyPatch, *, is_released: bool
) -> None:
    backend: Any = database._backend
    run = type(backend.driver).run
    ends: list[str] = []

    async def slowly(self: Any, raw: Any, sql: str) -> None:
        is_late = sql.startswith("RELEASE") and not ends
        if is_late and not is_released:
            await asyncio.sleep(5)
        await run(self, raw, sql)
        if is_late:
            await asyncio.sleep(5)

    async def act() -> None:
        async with database.transaction():
            await database.execute(insert("outer"))
            with pytest.raises(TimeoutError):
                async with database.transaction(timeout=0.3) as inner:
                    inner.on_commit(lambda: ends.append("commit"))
                    inner.on_rollback(lambda: ends.append("rollback"))
                    await database.execute(insert("inner"))
            await asyncio.sleep(0.1)
            await database.execute(insert("later"))

    monkeypatch.setattr(type(backend.driver), "run", slowly)
    try:
        await act()
        kept = {"outer", "later"}
    except Exception:  # the transaction's or the server's
        kept = set()

    assert ends == ["rollback"]
    assert texts(outside) == kept
    assert not (is_released and kept)
