"""Threads: how work gets to the thread of an aiosqlite connection, and back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.importer import import_driver

__all__ = ["Begun", "Reply", "hop", "mailbox_of", "stop"]

_core: Any = import_driver("aiosqlite").core


class Mailbox:
    """What threads have for an event loop, and the descriptor that wakes it.

    ``call_soon_threadsafe`` writes to a socket. The kernel takes that for a
    sign that the writer is about to sleep and moves the loop's thread to the
    writer's processor, where nothing of it is in the caches: what the loop does
    next costs twice as much. A write to an ``eventfd`` moves nobody.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._fd = fd
        self._items: deque[tuple[Callable[..., Any], asyncio.Future[Any], Any]] = deque()
        self._is_told = False
        loop.add_reader(self._fd, self._empty)

    def __del__(self) -> None:
        # Not before: a thread may still write to it when the loop is gone.
        os.close(self._fd)

    def put(self, call: Callable[..., Any], future: asyncio.Future[Any], value: Any) -> None:
        """Let the loop call *call* with *future* and *value*; from any thread."""
        self._items.append((call, future, value))
        if not self._is_told:
            self._is_told = True
            os.eventfd_write(self._fd, 1)

    def _empty(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        # Before the first item is taken: what comes after the last one is told again.
        self._is_told = False
        items = self._items
        while items:
            call, future, value = items.popleft()
            call(future, value)


_NOWHERE = (None, None)
_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = (
    weakref.WeakKeyDictionary()
)


def mailbox_of(loop: asyncio.AbstractEventLoop) -> Mailbox | None:
    """Return the mailbox of *loop*; None for one that is woken otherwise."""
    mailbox = _mailboxes.get(loop)
    if mailbox is None and hasattr(os, "eventfd") and isinstance(loop, asyncio.SelectorEventLoop):
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        mailbox = _mailboxes[loop] = Mailbox(loop, fd)
    return mailbox


class Reply:
    """Where the thread puts a result, for a caller that may be gone with its loop."""

    __slots__ = ("_future", "_mailbox")

    def __init__(self, future: asyncio.Future[Any] | None, mailbox: Mailbox | None = None) -> None:
        self._future = future
        self._mailbox = mailbox

    def get_loop(self) -> Reply:
        """Stand in for the loop too: aiosqlite asks the future for it."""
        return self

    def call_soon_threadsafe(self, put: Callable[..., Any], _: object, value: Any) -> None:
        """Put *value* into the future, by aiosqlite's *put*, unless the loop is gone."""
        future = self._future
        if future is None:
            return
        if self._mailbox is not None:
            self._mailbox.put(put, future, value)
            return
        # Cheaper than contextlib.suppress, and done for every statement.
        try:  # noqa: SIM105
            future.get_loop().call_soon_threadsafe(put, future, value)
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
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    # A pool that a program made itself lends connections without a home.
    home, mailbox = getattr(raw, "home", _NOWHERE)
    if home is not loop:
        mailbox = None
    work = functools.partial(function, *args)
    begun: Begun | None = getattr(raw, "begun", None)
    if begun is not None:
        raw.begun = None
        work = functools.partial(begun.then, work)
    raw._tx.put_nowait((Reply(future, mailbox), work))
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
