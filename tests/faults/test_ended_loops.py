"""Event loops that ended while the database was busy: the next one can disconnect."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from databases import Database
from tests.faults.acts import slow_query, texts, works, write
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.watching import patience

pytestmark = [
    pytest.mark.law,
    # The drivers' own connections and tasks complain of their loop.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROUNDS = 2

Act = Callable[[Database, DriverCase], Coroutine[Any, Any, Any]]


async def _query(database: Database, case: DriverCase) -> None:
    await database.fetch_val(slow_query(case, 1))


async def _transaction(database: Database, case: DriverCase) -> None:
    async with database.transaction():
        await write(database, "lost")
        await database.fetch_val(slow_query(case, 1))


async def _idle_transaction(database: Database, case: DriverCase) -> None:
    async with database.transaction():
        await write(database, "lost")
        await asyncio.sleep(30)


async def _iteration(database: Database, case: DriverCase) -> None:
    async for _ in database.iterate("SELECT 1 AS n UNION SELECT 2"):
        await asyncio.sleep(30)


async def _acquiring(database: Database, case: DriverCase) -> None:
    await asyncio.gather(*(_held(database) for _ in range(4)))


async def _held(database: Database) -> None:
    async with database.connection() as connection:
        await connection.fetch_val("SELECT 1")
        await asyncio.sleep(30)


ACTS = [_query, _transaction, _idle_transaction, _iteration, _acquiring]


def _open_now() -> Counter[str]:
    """Count descriptors, by what they are, and threads."""
    gc.collect()
    found = Counter(threads=threading.active_count())
    for link in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[str(link.readlink()).partition("[")[0]] += 1
    return found


def _more_than(before: Counter[str]) -> Counter[str]:
    return _open_now() - before


@pytest.mark.parametrize("steps", [1, None])
@pytest.mark.parametrize("act", ACTS)
def test_the_next_loop_disconnects_and_nothing_is_left(
    outside: Outside, driver: DriverCase, act: Act, steps: int | None, caplog: Any
) -> None:
    """A task is cancelled by the end of its loop, which does not wait for the pool's work."""
    complaints: list[str] = []

    async def begin(database: Database) -> None:
        await database.connect()
        task = asyncio.create_task(act(database, driver))
        for _ in range(steps or 0):
            await asyncio.sleep(0)
        if steps is None:
            await asyncio.wait({task}, timeout=0.05)

    async def end(database: Database) -> None:
        await asyncio.wait_for(database.disconnect(), patience(3))
        assert not database.is_connected

    def use() -> None:
        database = Database(outside.url, max_size=2)
        asyncio.run(begin(database))
        asyncio.run(end(database))
        gc.collect()
        complaints.extend(one.getMessage() for one in caplog.records if one.name == "asyncio")
        caplog.clear()  # tracebacks keep the connections they are about

    use()
    asyncio.run(_works(outside))
    before = _open_now()
    for _ in range(ROUNDS):
        use()
    asyncio.run(_works(outside))

    _wait_until(lambda: not _more_than(before), lambda: f"left: {_more_than(before)}")
    _wait_until(lambda: not outside.sessions(), lambda: f"left: {outside.sessions()}")
    assert texts(outside) == ["it works"] * 2
    assert not [one for one in complaints if "databases" in one]


async def _works(outside: Outside) -> None:
    async with Database(outside.url, max_size=1) as database:
        await works(database, outside)


@requires("server")
@pytest.mark.parametrize("act", [_query, _idle_transaction])
def test_a_loop_closed_over_its_tasks_can_be_disconnected_from(
    outside: Outside, driver: DriverCase, act: Act
) -> None:
    """The loop is closed without a word to its tasks: they can only be collected."""
    complaints: list[str] = []

    def use() -> None:
        database = Database(outside.url, max_size=2)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        loop.run_until_complete(database.connect())
        task = loop.create_task(act(database, driver))
        loop.run_until_complete(asyncio.wait({task}, timeout=0.05))
        loop.close()
        asyncio.run(end(database))

    async def end(database: Database) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        await asyncio.wait_for(database.disconnect(), patience(3))

    use()
    asyncio.run(_works(outside))
    before = _open_now()
    for _ in range(ROUNDS):
        use()
    asyncio.run(_works(outside))

    _wait_until(lambda: not _more_than(before), lambda: f"left: {_more_than(before)}")
    _wait_until(lambda: not outside.sessions(), lambda: f"left: {outside.sessions()}")
    # The task was the program's own.
    assert [one for one in complaints if "was destroyed" not in one] == []


def _wait_until(look: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + patience(5)
    while not look():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)
