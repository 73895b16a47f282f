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
import os
import sqlite3
import sys
import traceback
import types
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias

from databases.backends.common.driver import RawConnection
from databases.importer import import_driver

__all__ = [
    "begin_now",
    "begin_with_next",
    "hop",
    "is_about_to_begin",
    "late_hop",
    "leave",
    "may_hold_cursors",
    "release_cursors",
    "send",
    "start",
    "stop",
    "watched_hop",
]

_core: Any = import_driver("aiosqlite").core
_STOP: Any = _core._STOP_RUNNING_SENTINEL
_HAS_EVENTFD = hasattr(os, "eventfd")
_HAS_LOCK: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
_ATOMIC: Any = getattr(sys.modules.get("_asyncio"), "Future", None)  # written in C
"""The futures that another thread may end while their loop begins to wait for them."""

Job: TypeAlias = (
    "tuple[Callable[..., Any], Sequence[Any], asyncio.Future[Any] | None, Mailbox | None]"
)
"""What to call and with what, who waits for it, and what wakes that one's loop."""


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
        begin = self.begin
        if begin is not None:
            self.begin = None
            self._items.append((begin.run, (), None, None))
            item = begin.before(_job(self, item))
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

    begin = None
    was_asked = False


class Mailbox:
    """What wakes an event loop when a thread has a result for it."""

    def __init__(self, loop: Any, fd: int) -> None:
        self._fd = fd
        self._ready: deque[asyncio.Handle] = loop._ready
        self._is_told = False
        loop.add_reader(self._fd, self._hear)

    def __del__(self) -> None:
        # Not before: a thread may still write to it when the loop is gone.
        os.close(self._fd)

    def put(self, end: Callable[..., None], future: asyncio.Future[Any], value: Any) -> None:
        """End *future* of the loop by *end*, with *value*; from a thread.

        If the task waits for it already, that makes the task ready, as
        ``call_soon_threadsafe`` would. If not, the loop is awake, and will see.
        """
        try:  # noqa: SIM105  # cheaper than contextlib.suppress, and done for every statement
            end(future, value)
        except (asyncio.InvalidStateError, RuntimeError):
            pass  # it was given up, or the loop is closed
        if self._ready and not self._is_told:
            self._is_told = True
            os.eventfd_write(self._fd, 1)

    def _hear(self) -> None:
        try:
            try:  # noqa: SIM105  # as above
                os.eventfd_read(self._fd)
            except BlockingIOError:
                pass
            # What is ready by now is done next; what comes after this is told again.
            self._is_told = False
        except BaseException:
            # Ctrl-C may come anywhere: all is to be told again.
            os.eventfd_write(self._fd, 1)
            raise


_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = (
    weakref.WeakKeyDictionary()
)


def _mailbox_of(loop: asyncio.AbstractEventLoop) -> Mailbox | None:
    """Return the mailbox of *loop*; None for one that is woken otherwise."""
    mailbox = _mailboxes.get(loop)
    if mailbox is None and _HAS_EVENTFD and _is_known(loop):
        # The mailbox of a closed loop keeps both for ever.
        for ended in [one for one in list(_mailboxes) if one.is_closed()]:
            _mailboxes.pop(ended, None)
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        mailbox = _mailboxes[loop] = Mailbox(loop, fd)
    return mailbox


def _is_known(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether *loop* keeps what is ready as asyncio's own does, under Python's lock."""
    return (
        _HAS_LOCK
        and isinstance(loop, asyncio.SelectorEventLoop)
        and type(loop).call_soon is asyncio.BaseEventLoop.call_soon
        and isinstance(getattr(loop, "_ready", None), deque)
    )


class Begin:
    """A BEGIN that nobody waits for, and its failure for whatever comes with it."""

    __slots__ = ("_begin", "_error")

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._error: BaseException | None = None

    def run(self) -> None:
        """Begin, whether anybody waits or not: what comes later is inside; on the thread."""
        try:
            self._begin()
        except BaseException as error:  # noqa: BLE001  # raised by what comes next
            self._error = error

    def before(self, job: Job) -> Job:
        """Return *job* as one that fails if the BEGIN has failed."""
        function, args, future, mailbox = job
        return self._go_on, (function, args), future, mailbox

    def _go_on(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        if self._error is not None:
            raise self._error
        return function(*args)


def _job(inbox: Inbox | PlainInbox, item: Any) -> Job:
    """Return *item* as a job; what a program does itself comes as aiosqlite puts it."""
    if len(item) != 2:
        job: Job = item
        return job
    inbox.was_asked = True
    future, function = item
    return function, (), future, None


def _work(inbox: Inbox | PlainInbox) -> None:
    """Do what comes in, until told to stop; all that the thread does."""
    # Nothing in here, or else rows would stay until there is something else to do.
    while _do(inbox, inbox.get()) is not _STOP:
        pass
    if isinstance(inbox, Inbox):
        inbox.close()  # where a program has closed the connection itself


def _do(inbox: Inbox | PlainInbox, item: Any) -> Any:
    """Do *item*, unless whoever waits for it has given up; return and tell the result."""
    if item is _STOP:
        return _STOP
    function, args, future, mailbox = _job(inbox, item)
    if future is not None and future.cancelled():
        return None
    try:
        value = function(*args)
    except BaseException as error:  # noqa: BLE001  # whoever waits gets it
        # Its cursors are in there, and keep a closed connection's file open.
        traceback.clear_frames(error.__traceback__)
        if future is not None:
            _tell(future, mailbox, _fail, error)
        return None
    else:
        if future is not None:
            _tell(future, mailbox, _core.set_result, value)
        return value
    finally:
        del item, future  # or else an error, which knows of this frame, would keep itself alive


def _tell(
    future: asyncio.Future[Any], mailbox: Mailbox | None, end: Callable[..., None], value: Any
) -> None:
    """Have *end* called with *future* and *value*, in the way that its loop can stand."""
    loop = future.get_loop()
    # A loop in debug mode accepts nothing from other threads.
    if mailbox is not None and future.__class__ is _ATOMIC and not loop.get_debug():
        mailbox.put(end, future, value)
        return
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(end, future, value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        # A future cannot raise what ends iterations.
        is_end = isinstance(error, StopIteration)
        future.set_exception(RuntimeError("StopIteration was raised") if is_end else error)
        # Seen, or asyncio would complain where the caller was closed meanwhile.
        future.exception()


def start(raw: RawConnection) -> None:
    """Start the thread of *raw*, which is not connected yet, on the running loop."""
    inbox = Inbox(os.eventfd(0, os.EFD_CLOEXEC)) if _HAS_EVENTFD else PlainInbox()
    loop = asyncio.get_running_loop()
    raw._tx = inbox
    raw.home = loop, _mailbox_of(loop)
    thread: Any = getattr(raw, "_thread", raw)  # aiosqlite before 0.22 is a thread itself
    thread.daemon = True  # a program that forgets to disconnect ends all the same
    thread.run = partial(_work, inbox)
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


def hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Run *function* on the connection's thread; await what is returned.

    It is not begun when the caller has given up before.
    """
    return _answer(send(raw, function, *args))


def watched_hop(raw: RawConnection, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Run *function* as `hop` does; its first argument tells whether the caller has given up."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _send(raw, future, function, (future.cancelled, *args))
    return _answer(future)


@types.coroutine
def _answer(future: asyncio.Future[Any]) -> Generator[Any, None, Any]:
    """Wait for *future*, and let other tasks have their turn however quick the thread was."""
    try:
        if future.done():
            yield
        return (yield from future)
    finally:
        del future  # what it raises would keep itself alive


def send(raw: RawConnection, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Have *function* run on the connection's thread; the future is what it returns."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _send(raw, future, function, args)
    return future


def leave(raw: RawConnection, function: Callable[..., Any], *args: Any) -> None:
    """Have *function* run on the connection's thread; nobody waits for it."""
    raw._tx.put_nowait((function, args, None, None))


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
        raw._tx.put_nowait((future, partial(function, *args)))
        return
    mailbox = home[1] if home[0] is future.get_loop() else None
    raw._tx.put_nowait((function, args, future, mailbox))


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
        leave(raw, bool)


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
    is_ours, inbox = hasattr(raw, "home"), raw._tx

    def close() -> Any:
        # A cursor that somebody keeps would keep the file open, and locked.
        for each in (*getattr(raw, "cursors", ()), connection, *opened):
            if each is not None:
                with contextlib.suppress(sqlite3.Error):  # the thread has to end all the same
                    each.close()
        if isinstance(inbox, Inbox):
            inbox.close()
        if is_ours and closed is not None:
            _tell(closed, None, _core.set_result, None)  # last: nothing is left then
        return _STOP

    if is_ours:
        inbox.begin = None  # all ends
        leave(raw, close)  # also if nobody waits for it any more
        return
    inbox.put_nowait((closed or asyncio.get_running_loop().create_future(), close))
    if hasattr(raw, "_stop_running"):  # aiosqlite before 0.22
        inbox.put_nowait(_STOP)
