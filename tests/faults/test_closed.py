"""Coroutines that are closed half way, as the collector closes them: nothing can be waited for."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query, texts, until_not, works, write
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = pytest.mark.law

MOST_POINTS = 50
"""No coroutine here waits more often."""


async def close_at(
    coroutine: Coroutine[Any, Any, Any], point: int, only: list[Any] | None = None
) -> bool:
    """Run *coroutine* up to suspension *point*, and close it there; false if it ended before.

    With *only*, no suspension counts but those that wait for one of these.
    """
    passed = 0
    try:
        for _ in range(MOST_POINTS):
            awaited = coroutine.send(None)
            if awaited is not None:
                awaited._asyncio_future_blocking = False
            passed += only is None or awaited in only
            if passed == point:
                coroutine.close()
                return True
            if awaited is None:
                await asyncio.sleep(0)
            else:
                await asyncio.wait({awaited})
    except StopIteration:
        return False
    raise AssertionError("it waits too often")


async def close_everywhere(
    make: Callable[[], Coroutine[Any, Any, Any]], only: list[Any] | None = None
) -> int:
    """Close what *make* gives at each of its suspensions, one after another; count them."""
    point = 1
    while await close_at(make(), point, only):
        point += 1
    return point - 1


@pytest.mark.parametrize("force_rollback", [False, True])
async def test_in_the_block_of_a_database(
    make_database: MakeDatabase, outside: Outside, *, force_rollback: bool
) -> None:
    used: list[Database] = []

    async def use() -> None:
        async with make_database(force_rollback=force_rollback, max_size=1) as database:
            used.append(database)
            await write(database, "written")
            # On a server, its answer is waited for; elsewhere perhaps nothing was.
            await asyncio.sleep(0)

    assert await close_everywhere(use) > 1

    await until_not(outside.sessions, "sessions left open")
    for database in used:
        assert not database.is_connected
        await database.connect()
        assert await asyncio.wait_for(database.fetch_val("SELECT 42"), 5) == 42
        await database.disconnect()


async def test_while_rows_are_awaited_that_are_to_be_written(
    make_database: MakeDatabase, outside: Outside
) -> None:
    waits: list[Any] = []

    class Rows:
        """No generator: those are closed badly before Python 3.13."""

        def __init__(self) -> None:
            self._texts = ["two", "one"]

        def __aiter__(self) -> Rows:
            return self

        async def __anext__(self) -> dict[str, str]:
            wait = asyncio.get_running_loop().create_future()
            waits.append(wait)
            asyncio.get_running_loop().call_soon(wait.set_result, None)
            await wait
            if not self._texts:
                raise StopAsyncIteration
            return {"text": self._texts.pop()}

    async with make_database(max_size=1) as database:
        points = await close_everywhere(
            lambda: database.execute_many(notes.insert(), Rows()), waits
        )
        await works(database, outside)

    assert points == 3
    assert [text for text in texts(outside) if text in ("one", "two")] == ["one", "two"]


@requires("file")
async def test_a_statement_that_fails_then_is_nobodys_to_hear_of(
    make_database: MakeDatabase, driver: DriverCase, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_database(max_size=1) as database:
        with caplog.at_level(logging.ERROR, logger="asyncio"):
            assert await close_at(database.fetch_val(slow_query(driver)), 1)
            assert await database.fetch_val("SELECT 42") == 42
            gc.collect()

    assert not caplog.records


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_stream_that_somebody_keeps_who_gave_it_up_as_it_opened(
    make_database: MakeDatabase, outside: Outside, *, at_once: bool
) -> None:
    """Its rows are in what was awaited, and that lives as long as the traceback."""
    outside.insert(notes, *[{"text": "x"} for _ in range(600)])
    kept: list[Any] = []

    async def read(database: Database) -> None:
        async with database.transaction():
            async for _ in database.iterate("SELECT text FROM notes"):
                return

    async def cancel_at(point: int, database: Database) -> bool:
        stepped = read(database)
        try:
            for number in range(1, MOST_POINTS):
                awaited = stepped.send(None)
                kept.append(awaited)
                if awaited is not None:
                    awaited._asyncio_future_blocking = False
                if awaited is not None and not (at_once and number == point):
                    await asyncio.wait({awaited})
                if number == point:
                    stepped.throw(asyncio.CancelledError())
                    raise AssertionError("the cancellation waits for something")
        except asyncio.CancelledError as error:
            kept.append(error)
            return True
        except StopIteration:
            return False
        raise AssertionError("it waits too often")

    async with make_database(max_size=1) as database:
        point = 1
        while await cancel_at(point, database):
            assert await asyncio.wait_for(database.fetch_val("SELECT 42"), 5) == 42
            await until_not(outside.open_transactions, "transactions left open")
            outside.insert(notes, {"text": "from outside"})
            await asyncio.wait_for(works(database, outside), 5)
            point += 1

    assert point > 1
    await until_not(outside.sessions, "sessions left open")
    kept.clear()


@pytest.mark.parametrize("count", [1, 2])
async def test_streams_of_a_task_that_has_failed_are_abandoned_with_it(
    make_database: MakeDatabase, outside: Outside, count: int
) -> None:
    """Its exception holds its frames; nothing of the database may hold the task."""
    outside.insert(notes, *[{"text": "x"} for _ in range(600)])

    async def read(database: Database) -> None:
        streams = [database.iterate("SELECT text FROM notes") for _ in range(count)]
        for stream in streams:
            await anext(stream)
        raise KeyError("in the midst")

    async with make_database(max_size=count) as database:
        gc.disable()
        try:
            task = asyncio.ensure_future(read(database))
            await asyncio.wait({task})
            assert isinstance(task.exception(), KeyError)
            del task
            await until_not(lambda: database.pool_stats().in_use, "streams left open")
        finally:
            gc.enable()
        await works(database, outside)
