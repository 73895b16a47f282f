"""Threads: how work gets to the thread of an aiosqlite connection, and back."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.importer import import_driver

__all__ = ["Begun", "Reply", "hop", "stop"]

_core: Any = import_driver("aiosqlite").core


class Reply:
    """Where the thread puts a result, for a caller that may be gone with its loop."""

    __slots__ = ("_future", "_loop")

    def __init__(self, future: asyncio.Future[Any] | None) -> None:
        self._future = future
        self._loop = None if future is None else future.get_loop()

    def get_loop(self) -> Reply:
        """Stand in for the loop too: aiosqlite asks the future for it."""
        return self

    def call_soon_threadsafe(self, put: Callable[..., Any], _: object, value: Any) -> None:
        """Put *value* into the future, by aiosqlite's *put*, unless the loop is gone."""
        if self._loop is None:
            return
        # Cheaper than contextlib.suppress, and done for every statement.
        try:  # noqa: SIM105
            self._loop.call_soon_threadsafe(put, self._future, value)
        except RuntimeError:
            pass  # the loop is closed


class Begun:
    """A BEGIN that nobody waits for, and its failure for whoever comes next."""

    __slots__ = ("_begin", "_error")

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Begin; on the thread."""
        try:
            self._begin()
        except BaseException as error:  # noqa: BLE001  # raised by `then`
            self._error = error

    def then(self, work: Callable[[], Any]) -> Any:
        """Run *work* inside the transaction; on the thread."""
        if self._error is not None:
            raise self._error
        return work()


def hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Run *function* on the connection's thread; await what is returned."""
    if not raw._running:
        raise ValueError("Connection closed")
    future = asyncio.get_running_loop().create_future()
    work = functools.partial(function, *args)
    begun: Begun | None = getattr(raw, "begun", None)
    if begun is not None:
        raw.begun = None
        work = functools.partial(begun.then, work)
    raw._tx.put_nowait((Reply(future), work))
    return future


def stop(
    raw: RawConnection,
    closed: asyncio.Future[None] | None = None,
    *,
    opened: Sequence[sqlite3.Connection] = (),
) -> None:
    """Close *raw* and end its thread once it has done what it was given.

    *opened* will hold what the thread opens before it gets there.
    """
    connection, raw._connection = raw._connection, None
    if not raw._running:
        if closed is not None and not closed.done():
            closed.set_result(None)
        return
    raw._running = False
    sentinel: Any = _core._STOP_RUNNING_SENTINEL

    def close() -> Any:
        for each in (connection, *opened):
            if each is not None:
                each.close()
        return sentinel

    raw._tx.put_nowait((Reply(closed), close))
    if hasattr(raw, "_stop_running"):  # aiosqlite before 0.22
        raw._tx.put_nowait(sentinel)
