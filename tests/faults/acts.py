"""What the fault tests do to a database from outside, and how they wait for what follows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

import databases
from tests.faults.operations import INSERT
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes
from tests.support.watching import patience

LATE = 1.0
"""Seconds by which a time-out may be late."""


def end_sessions(outside: Outside) -> int:
    """End every session of others; on SQLite put a fresh file in the place of the old."""
    case = outside.case
    if case.dialect == "sqlite":
        outside.drop()
        outside.create()
        return 0
    numbers = [int(session.partition(" ")[0]) for session in outside.sessions()]
    for number in numbers:
        end_session(outside, number)
    return len(numbers)


def end_session(outside: Outside, number: int) -> None:
    """End one session; one that has ended already is as good."""
    with contextlib.suppress(sa.exc.DBAPIError):
        outside.run(
            outside.case.text(
                postgresql=f"SELECT pg_terminate_backend({number})", mysql=f"KILL {number}"
            )
        )


def running(outside: Outside, text: str) -> list[str]:
    """Describe the statements with *text* in them that the server runs now."""
    found = outside.case.text(postgresql=" active", mysql=" Query", sqlite="")
    if not found:
        return []
    return [one for one in outside.sessions() if found in one.partition(":")[0] and text in one]


async def until(look: Callable[[], Any], what: str, seconds: float = 5.0) -> None:
    """Wait until *look* finds something."""
    deadline = time.monotonic() + patience(seconds)
    while not look():
        assert time.monotonic() < deadline, f"in vain: waited for {what}"
        await asyncio.sleep(0.005)


async def until_not(look: Callable[[], Any], what: str, seconds: float = 5.0) -> None:
    """Wait until *look* finds nothing any more."""
    deadline = time.monotonic() + patience(seconds)
    while found := look():
        assert time.monotonic() < deadline, f"{what}: {found}"
        await asyncio.sleep(0.005)


@contextlib.contextmanager
def breaks(case: DriverCase) -> Iterator[None]:
    """Expect that the connection breaks in the block, in the driver's own words."""
    with pytest.raises(Exception) as raised:
        yield
    assert is_drivers_own(case, raised.value), repr(raised.value)


def is_drivers_own(case: DriverCase, error: object) -> bool:
    """Tell whether *error* is the driver's word for a connection that is gone.

    Not all of these are errors of the database to it: they may be misuse, or
    the operating system's.
    """
    package = case.error.__module__.partition(".")[0]
    if type(error).__module__.partition(".")[0] == package:
        return True
    # A time-out is an OSError too, and would be the test's own.
    late = isinstance(error, (TimeoutError, asyncio.TimeoutError))
    return isinstance(error, (OSError, EOFError)) and not late


def slow_query(case: DriverCase, seconds: float = 30) -> str:
    """Give a SELECT of one value that takes *seconds*, and on SQLite about as long."""
    return case.text(
        postgresql=f"SELECT pg_sleep({seconds})",
        mysql=f"SELECT SLEEP({seconds})",
        sqlite=(
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s "
            f"WHERE n < {int(seconds * 10_000_000)}) SELECT count(*) FROM s"
        ),
    )


@contextlib.asynccontextmanager
async def ends_in_time(seconds: float, what: str = "it") -> AsyncIterator[None]:
    """Raise ``AssertionError`` when the block takes a second longer than *seconds*."""
    started = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - started
        limit = seconds + patience(LATE)
        assert took <= limit, f"{what} took {took:.2f} s, its time-out was {seconds} s"


async def times_out(work: Awaitable[Any], seconds: float = 0.15) -> None:
    """Give *work* *seconds*; it must need longer, and end with the time-out's error in time."""
    async with ends_in_time(seconds):
        try:
            await asyncio.wait_for(work, seconds)
        except asyncio.TimeoutError:
            return
    raise AssertionError("there was no time-out")


async def write(target: Any, text: str) -> None:
    """Insert one row by *target*, a database or a connection."""
    await target.execute(INSERT, {"text": text, "completed": True})


class Readable(Protocol):
    """What shows the committed rows: an `Outside`, a private server."""

    def column(self, column: sa.Column[Any]) -> list[Any]:
        """List the committed values of *column*."""


def texts(outside: Readable) -> list[str]:
    """List what was written, as others see it."""
    return [str(text) for text in outside.column(notes.c.text)]


async def works(database: databases.Database, outside: Readable, seconds: float = 2.0) -> None:
    """Raise ``AssertionError`` unless *database* serves in time and keeps what it is given."""

    async def use() -> None:
        assert await database.fetch_val("SELECT 41 + 1") == 42
        async with database.transaction():
            await write(database, "it works")

    before = texts(outside).count("it works")
    await asyncio.wait_for(use(), patience(seconds))
    assert texts(outside).count("it works") == before + 1


async def has_places(database: databases.Database, count: int) -> None:
    """Raise ``AssertionError`` unless *count* tasks can hold a connection at once."""
    holding, release = 0, asyncio.Event()

    async def hold() -> None:
        nonlocal holding
        async with database.connection() as connection:
            assert await connection.fetch_val("SELECT 7") == 7
            holding += 1
            await release.wait()

    tasks = [asyncio.create_task(hold()) for _ in range(count)]
    try:
        await until(lambda: holding == count or any(t.done() for t in tasks), f"{count} places")
    finally:
        release.set()
        await asyncio.gather(*tasks)
    assert holding == count
