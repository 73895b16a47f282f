"""Threads: how work gets to the thread of an aiosqlite connection, and back.

A thread that is woken while the other one holds Python's lock only goes back to
sleep, and each time the processor forgets what it was doing. So both are woken
by a write to an ``eventfd``, during which the lock is free: what was woken goes
on at once, or finds the lock free when it gets there. ``call_soon_threadsafe``
would write to a socket, too, which makes the kernel move the loop's thread to
another processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
import traceback
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.importer import import_driver

__all__ = [
    "Job",
    "begin_now",
    "begin_with_next",
    "hop",
    "is_about_to_begin",
    "late_hop",
    "may_hold_cursors",
    "release_cursors",
    "start",
    "stop",
    "watched_hop",
]

_core: Any = import_driver("aiosqlite").core
_STOP: Any = _core._STOP_RUNNING_SENTINEL
_HAS_EVENTFD = hasattr(os, "eventfd")


class Inbox:
    """What the thread is to do, in order; takes the place of aiosqlite's queue."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._items: deque[Any] = deque()
        self._waits = False
        self.begin: Begin | None = None
        """A BEGIN that is to be done before what comes next."""
        self.was_asked = False
        """Whether a program has had something done itself, see `release_cursors`."""

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let the descriptor go; nobody waits any more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def put_nowait(self, item: Any) -> None:
        """Give the thread *item*; from any thread."""
        if self.begin is not None:
            begin, self.begin = self.begin, None
            item = item if item is _STOP else _job(self, item).after(begin)
        self._items.append(item)
        if self._waits:
            self._waits = False
            os.eventfd_write(self._fd, 1)

    def get(self) -> Any:
        """Wait for the next item; on the thread."""
        while not self._items:
            self._waits = True
            # Looked at again: what was put before that did not wake anybody.
            if not self._items:
                with contextlib.suppress(InterruptedError):
                    os.eventfd_read(self._fd)
        return self._items.popleft()


class PlainInbox(SimpleQueue[Any]):
    """An inbox where there is no ``eventfd``."""

    was_asked = False


class Mailbox:
    """What threads have for an event loop, and the descriptor that wakes it."""

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
        try:
            # Cheaper than contextlib.suppress, and done for every statement.
            try:  # noqa: SIM105
                os.eventfd_read(self._fd)
            except BlockingIOError:
                pass
            # Before the first item is taken: what comes after the last one is told again.
            self._is_told = False
            items = self._items
            while items:
                call, future, value = items.popleft()
                call(future, value)
        except BaseException:
            # Ctrl-C may come anywhere: what is left, and what comes, is to be told again.
            os.eventfd_write(self._fd, 1)
            raise


_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = (
    weakref.WeakKeyDictionary()
)


def _mailbox_of(loop: asyncio.AbstractEventLoop) -> Mailbox | None:
    """Return the mailbox of *loop*; None for one that is woken otherwise."""
    mailbox = _mailboxes.get(loop)
    if mailbox is None and _HAS_EVENTFD and isinstance(loop, asyncio.SelectorEventLoop):
        # What nobody took out of the mailbox of a closed loop keeps both for ever.
        for ended in [one for one in list(_mailboxes) if one.is_closed()]:
            _mailboxes.pop(ended, None)
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        mailbox = _mailboxes[loop] = Mailbox(loop, fd)
    return mailbox


class Job:
    """Something for the thread to do, and who waits for it, perhaps gone with its loop."""

    __slots__ = ("_args", "_function", "_future", "_is_due", "_mailbox", "begin")

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        future: asyncio.Future[Any] | None = None,
        mailbox: Mailbox | None = None,
        *,
        is_due: bool = False,
    ) -> None:
        self.begin: Begin | None = None
        self._is_due = is_due
        """Whether it is to be done even if nobody waits for it any more."""
        self._function = function
        self._args = args
        self._future = future
        self._mailbox = mailbox

    def after(self, begin: Begin) -> Job:
        """Do *begin* first, unless all ends."""
        self.begin = None if self._is_due else begin
        return self

    def run(self) -> Any:
        """Do it and tell the result, which is returned too; on the thread."""
        future, begin = self._future, self.begin
        if begin is not None:
            begin()  # whoever waits or not: what comes later is inside
        if future is not None and not self._is_due and future.cancelled():
            return None
        try:
            if begin is not None and begin.error is not None:
                raise begin.error
            value = self._function(*self._args)
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            # Its cursors are in there, and keep a closed connection's file open.
            traceback.clear_frames(error.__traceback__)
            self._tell(_fail, error)
            return None
        self._tell(_core.set_result, value)
        return value

    def _tell(self, put: Callable[..., Any], value: Any) -> None:
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


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        # Seen, or asyncio would complain where the caller was closed meanwhile.
        future.exception()


class Begin:
    """A BEGIN that nobody waits for, and its failure for whatever comes with it."""

    __slots__ = ("_begin", "error")

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.error: BaseException | None = None

    def __call__(self) -> None:
        """Begin; on the thread."""
        try:
            self._begin()
        except BaseException as error:  # noqa: BLE001  # raised by `Job.run`
            self.error = error


def _job(inbox: Inbox | PlainInbox, item: Any) -> Job:
    """Return *item* as a job; what a program does itself comes as aiosqlite puts it."""
    if item.__class__ is Job:
        return item
    inbox.was_asked = True
    return Job(item[1], (), item[0])


def _work(inbox: Inbox | PlainInbox) -> None:
    """Do what comes in, until told to stop; all that the thread does."""
    while (item := inbox.get()) is not _STOP:
        job = _job(inbox, item)
        if job.run() is _STOP:
            break
        # Or else its rows would stay until there is something else to do.
        del item, job
    if isinstance(inbox, Inbox):
        inbox.close()


def start(raw: RawConnection) -> None:
    """Start the thread of *raw*, which is not connected yet, on the running loop."""
    inbox = Inbox(os.eventfd(0, os.EFD_CLOEXEC)) if _HAS_EVENTFD else PlainInbox()
    loop = asyncio.get_running_loop()
    raw._tx = inbox
    raw.home = loop, _mailbox_of(loop)
    thread: Any = getattr(raw, "_thread", raw)  # aiosqlite before 0.22 is a thread itself
    thread.daemon = True  # a program that forgets to disconnect ends all the same
    thread.run = functools.partial(_work, inbox)
    thread.start()


def may_hold_cursors(raw: RawConnection) -> bool:
    """Tell whether a program has used *raw* itself since `release_cursors`."""
    return getattr(raw._tx, "was_asked", True)  # not there: the thread is aiosqlite's


async def release_cursors(raw: RawConnection) -> None:
    """Let the event loop drop the cursor that it has handed to a program last.

    It holds it until the task waits again, also where the program has not kept
    it, and SQLite does not commit while a statement is under way that may write.
    """
    if hasattr(raw, "home"):
        raw._tx.was_asked = False
    await asyncio.sleep(0)


def hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Run *function* on the connection's thread; await what is returned.

    It is not begun when the caller has given up before.
    """
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _send(raw, future, function, args)
    return future


def watched_hop(
    raw: RawConnection, function: Callable[..., Any], *args: Any
) -> asyncio.Future[Any]:
    """Run *function* as `hop` does; its first argument tells whether the caller has given up."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _send(raw, future, function, (future.cancelled, *args))
    return future


def late_hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Run *function* as `hop` does, when no cursor is held: see `release_cursors`."""
    if may_hold_cursors(raw):
        return _released_hop(raw, function, *args)
    return hop(raw, function, *args)


async def _released_hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> Any:
    await release_cursors(raw)
    return await hop(raw, function, *args)


def _send(
    raw: RawConnection,
    future: asyncio.Future[Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    if not raw._running:
        raise ValueError("Connection closed")
    home = getattr(raw, "home", None)
    if home is None:
        # From a pool that a program made itself: the thread is aiosqlite's.
        raw._tx.put_nowait((future, functools.partial(function, *args)))
        return
    mailbox = home[1] if home[0] is future.get_loop() else None
    raw._tx.put_nowait(Job(function, args, future, mailbox))


def begin_with_next(raw: RawConnection, begin: Callable[[], None]) -> bool:
    """Have the thread call *begin* before whatever comes next; false where it cannot."""
    inbox = raw._tx
    if not isinstance(inbox, Inbox):
        return False
    inbox.begin = Begin(begin)
    return True


def begin_now(raw: RawConnection) -> None:
    """Have the thread do a BEGIN that waits for what comes next."""
    if is_about_to_begin(raw):
        raw._tx.put_nowait(Job(bool))


def is_about_to_begin(raw: RawConnection) -> bool:
    """Tell whether a BEGIN waits for what comes next."""
    return getattr(raw._tx, "begin", None) is not None


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

    def close() -> Any:
        # A cursor that somebody keeps would keep the file open, and locked.
        for each in (*getattr(raw, "cursors", ()), connection, *opened):
            if each is not None:
                with contextlib.suppress(sqlite3.Error):  # the thread has to end all the same
                    each.close()
        return _STOP

    if hasattr(raw, "home"):
        raw._tx.put_nowait(Job(close, (), closed, is_due=True))
        return
    raw._tx.put_nowait((closed or asyncio.get_running_loop().create_future(), close))
    if hasattr(raw, "_stop_running"):  # aiosqlite before 0.22
        raw._tx.put_nowait(_STOP)
