"""What must hold after every test: nothing checked out, no task left, no open transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import databases

CLEANING_TIME = 5.0
"""Longest time, in seconds, that the pool may take to clean a returned connection."""

T = TypeVar("T")


def checked_out(database: databases.Database) -> int:
    """Count the driver connections that *database* has lent and not got back."""
    return database.pool_stats().in_use


async def eventually_none(look: Callable[[], list[str]], what: str) -> None:
    """Raise ``AssertionError`` when *look* still finds something at the deadline.

    For what a server or the pool ends in the background and tells nobody about.
    """
    deadline = time.monotonic() + CLEANING_TIME
    while found := look():
        assert time.monotonic() < deadline, f"{what}: {found}"
        await asyncio.sleep(0.005)


def other_tasks() -> set[asyncio.Task[Any]]:
    """Give the unfinished tasks of the running loop, without the current one."""
    return asyncio.all_tasks() - {_current_task()}


def describe(tasks: set[asyncio.Task[Any]]) -> list[str]:
    """Name *tasks* for a failure message."""
    return sorted(repr(task.get_coro()) for task in tasks if not task.done())


async def until_waiting(database: databases.Database, count: int = 1) -> None:
    """Let the other tasks run until *count* of them wait for a connection."""
    for _ in range(1000):
        if database.pool_stats().waiting >= count:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{count} tasks should wait: {database.pool_stats()}")


async def within(awaitable: Awaitable[T], seconds: float = 10.0) -> T:
    """Give what *awaitable* gives; a dead-lock is a ``TimeoutError`` instead of a hang."""
    return await asyncio.wait_for(awaitable, seconds)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def until_clean(database: databases.Database) -> None:
    """Let the pool finish what it does with connections that were given back."""
    for _ in range(1000):
        if not database.pool_stats().cleaning:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"no connection should be cleaned any more: {database.pool_stats()}")
