"""The pool: lends raw connections of any driver, and takes them back for certain.

Every change of state is synchronous: nothing is awaited between deciding and
recording it. Giving back never waits. What a returned connection needs runs in
a task of the pool, under a deadline; a connection that is not known to be
clean by then is terminated.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from databases.backends.common.driver import Driver, RawConnection
from databases.backends.common.options import PoolOptions
from databases.errors import InterfaceError, NotConnectedError, PoolTimeoutError
from databases.events import logger

__all__ = ["Pool", "PoolStats", "Slot", "SlotState", "within"]


PING_AFTER = 1.0
"""Seconds of idleness after which a connection is asked for a sign of life."""
WARN_AFTER = 30.0
"""Seconds of waiting after which the holders of connections are logged."""
CLOSE_TIMEOUT = 10.0
"""Seconds that closing waits for connections that are still lent."""


class SlotState(enum.Enum):
    """Where a connection is."""

    IDLE = "idle"  # in the pool, clean
    LENT = "lent"  # with somebody
    CLEANING = "cleaning"  # given back, being made clean
    GONE = "gone"  # no longer the pool's


class Slot:
    """A place in the pool and the raw connection in it."""

    __slots__ = ("changed", "holder", "in_doubt", "lent", "loans", "opened", "raw", "since")
    __slots__ += ("__weakref__", "state")

    def __init__(self, raw: RawConnection) -> None:
        self.raw = raw
        self.state = SlotState.IDLE
        self.changed = False
        """Whether the session's state may have been changed during this loan."""
        self.in_doubt = False
        """Whether a statement was given up before its end."""
        self.loans = 0
        self.opened = self.since = time.monotonic()
        self.holder: weakref.ref[asyncio.Task[Any]] | None = None


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections and waiting tasks at one moment."""

    size: int
    """Open connections, lent ones and those being cleaned included."""
    idle: int
    in_use: int
    cleaning: int
    opening: int
    waiting: int
    """Tasks that wait for a connection."""
    min_size: int
    max_size: int | None


class Pool:
    """Raw connections of one database on one event loop."""

    lends_slots = True
    """False where a program has replaced how connections are lent."""

    def __init__(
        self,
        driver: Driver,
        open_connection: Callable[[], Awaitable[RawConnection]],
        options: PoolOptions,
        *,
        keeps: int | None = None,
    ) -> None:
        self._driver = driver
        self._open_connection = open_connection
        self._options = options
        self._keeps = keeps
        """Most idle connections to keep; None keeps them all."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots: set[Slot] = set()
        self._idle: list[Slot] = []
        self._waiters: deque[asyncio.Future[Slot]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening = 0
        self._cleaning = 0
        self._waiting = 0
        self._is_closing = False
        self._returned: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._pings = options.pre_ping is not False
        self._ping_after = 0.0 if options.pre_ping else PING_AFTER
        self._has_hooks = bool(options.setup or options.on_acquire)
        self._forgets = driver.forgets_session or callable(options.reset)
        self._always_cleans = bool(
            options.on_release or (options.reset != "auto" and self._forgets)
        )

    # Lending

    async def start(self) -> None:
        """Open the first connections. A failed or cancelled call closes them again."""
        self._loop = asyncio.get_running_loop()
        try:
            for _ in range(self._options.min_size):
                task = self._spawn(self._open())
                self._file(await _shielded(task))
        except BaseException:
            self._is_closing = True
            for slot in list(self._slots):
                self._drop(slot)
            await self._finish_tasks(self._options.cleanup_timeout)
            raise

    def lend_now(self) -> Slot | None:
        """Lend an idle connection that needs no look at first, or None."""
        idle = self._idle
        if not idle or self._has_hooks:
            return None
        slot = idle[-1]
        now = time.monotonic()
        if not self._driver.is_usable(slot.raw) or self._has_expired(slot, now):
            return None
        if self._pings and now - slot.since > self._ping_after:
            return None
        if self._loop is not _running_loop():
            self._refuse_loop()
        idle.pop()
        self._lend(slot, now)
        return slot

    async def lend(self, timeout: float | None = None) -> Slot:
        """Lend a connection, and wait for one if need be.

        *timeout* is in seconds; without it ``acquire_timeout`` counts. Raises
        `PoolTimeoutError`, and what opening a connection raised.
        """
        if self._is_closing:
            raise NotConnectedError("DatabaseBackend is not running: the pool is closed; connect()")
        if self._loop is not _running_loop():
            self._refuse_loop()
        while True:
            slot = self._take_idle() or await self._wait(timeout)
            if await self._is_ready(slot):
                return slot

    def take_back(self, slot: Slot) -> asyncio.Task[Any] | None:
        """Take *slot* back. Never waits and never raises.

        What has to be done with it before it is lent again is done by the task
        that is returned, if there is one.
        """
        if slot.state is not SlotState.LENT:
            return None
        slot.holder = None
        driver, raw = self._driver, slot.raw
        now = time.monotonic()
        if self._is_closing or self._has_expired(slot, now) or not driver.is_usable(raw):
            return self._drop(slot)
        elif slot.in_doubt and not driver.can_recover(raw):
            return self._drop(slot, cancel=True)
        elif (
            slot.in_doubt
            or (slot.changed and self._forgets)
            or self._always_cleans
            or driver.in_transaction(raw)
        ):
            slot.state = SlotState.CLEANING
            self._cleaning += 1
            return self._spawn(self._clean(slot))
        else:
            self._file(slot, now)
        return None

    def discard(self, slot: Slot, *, cancel: bool = True) -> None:
        """Close a lent connection that cannot be trusted; its place is free at once."""
        if slot.state is SlotState.LENT:
            self._drop(slot, cancel=cancel)

    @property
    def is_exhausted(self) -> bool:
        """Whether a task that asks now would have to wait for another one."""
        limit = self._options.max_size
        size = len(self._slots) + self._opening
        return not self._idle and limit is not None and size >= limit

    def stats(self) -> PoolStats:
        """Return how many connections there are, and what they do."""
        size, idle = len(self._slots), len(self._idle)
        return PoolStats(
            size=size,
            idle=idle,
            in_use=size - idle - self._cleaning,
            cleaning=self._cleaning,
            opening=self._opening,
            waiting=self._waiting,
            min_size=self._options.min_size,
            max_size=self._options.max_size,
        )

    # Closing

    async def shut_down(self, timeout: float | None = None) -> None:
        """Close every connection.

        Waits up to *timeout* seconds for connections that other tasks hold;
        those that are still lent then are terminated, and named in the log.
        """
        self._is_closing = True
        self._fail_waiters()
        for slot in list(self._idle):
            self._drop(slot)
        patience = CLOSE_TIMEOUT if timeout is None else timeout
        deadline = time.monotonic() + patience
        own = asyncio.current_task()
        try:
            while self._lent_to_others(own) or self._cleaning:
                self._returned = asyncio.get_running_loop().create_future()
                left = deadline - time.monotonic()
                if left <= 0 or not (await asyncio.wait({self._returned}, timeout=left))[0]:
                    break
            held = self._lent_to_others(own)
            if held:
                logger.warning(
                    "%d connection(s) were still in use when the database was disconnected, by %s",
                    len(held),
                    ", ".join(sorted(_holder_name(slot) for slot in held)),
                )
            for slot in list(self._slots):
                self._drop(slot, cancel=True)
            await self._finish_tasks(
                max(deadline - time.monotonic(), self._options.cleanup_timeout)
            )
        finally:
            self.shut_down_now()

    def shut_down_now(self) -> None:
        """Close every connection at once, without a word to the server."""
        self._is_closing = True
        self._fail_waiters()
        for task in list(self._tasks):
            task.cancel()
        for slot in list(self._slots):
            self._forget(slot)
            self._driver.terminate(slot.raw)
        if self._expiry is not None:
            self._expiry.cancel()

    def expire_idle(self) -> None:
        """Close the idle connections; lent ones are closed when they come back."""
        for slot in list(self._idle):
            self._drop(slot)
        for slot in self._slots:
            slot.opened = float("-inf")

    # Inside

    def _lend(self, slot: Slot, now: float) -> None:
        slot.state = SlotState.LENT
        slot.changed = slot.in_doubt = False
        slot.loans += 1
        slot.since = now
        task = asyncio.current_task()
        slot.holder = None if task is None else weakref.ref(task)

    def _take_idle(self) -> Slot | None:
        now = time.monotonic()
        while self._idle:
            slot = self._idle.pop()
            if self._driver.is_usable(slot.raw) and not self._has_expired(slot, now):
                idle_for = now - slot.since
                self._lend(slot, now)
                if self._pings and idle_for > self._ping_after:
                    slot.in_doubt = True  # until it has answered
                return slot
            self._drop(slot)
        return None

    async def _wait(self, timeout: float | None) -> Slot:
        options = self._options
        timeout = options.acquire_timeout if timeout is None else timeout
        if options.max_waiting is not None and self._waiting >= options.max_waiting:
            if self.is_exhausted:
                raise PoolTimeoutError(
                    f"cannot acquire a connection: {self._waiting} tasks wait already; "
                    "raise max_waiting or max_size"
                )
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Slot] = loop.create_future()
        alarms = [loop.call_later(WARN_AFTER, self._warn_waiting)]
        if timeout is not None:
            alarms.append(loop.call_later(timeout, self._time_out, waiter, timeout))
        self._waiters.append(waiter)
        self._waiting += 1
        self._balance()
        try:
            slot = await waiter
        except BaseException:
            if waiter.cancelled() or not waiter.done():
                waiter.cancel()
            elif waiter.exception() is None:
                # The connection arrived in the very step in which the task
                # was cancelled: without this its place would be lost.
                self.take_back(waiter.result())
            raise
        finally:
            self._waiting -= 1
            for alarm in alarms:
                alarm.cancel()
        self._lend(slot, time.monotonic())
        return slot

    async def _is_ready(self, slot: Slot) -> bool:
        """Look at a connection before it is lent; false if it was dropped."""
        try:
            if slot.in_doubt:
                ping = self._driver.ping(slot.raw)
                if not await within(self._options.cleanup_timeout, ping):
                    self._drop(slot)
                    return False
                slot.in_doubt = False
            for hook in (self._options.setup, self._options.on_acquire):
                if hook is not None:
                    await _called(hook, slot.raw)
        except BaseException:
            slot.in_doubt = True
            self.discard(slot)
            raise
        return True

    def _file(self, slot: Slot, now: float | None = None) -> None:
        """Give *slot* to the first task that waits, or keep it."""
        slot.since = time.monotonic() if now is None else now
        slot.state = SlotState.IDLE
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                slot.state = SlotState.LENT
                waiter.set_result(slot)
                return
        if self._is_closing or (self._keeps is not None and len(self._idle) >= self._keeps):
            self._drop(slot)
            return
        self._idle.append(slot)
        if self._options.max_idle is not None and self._expiry is None and self._loop is not None:
            self._expiry = self._loop.call_later(self._options.max_idle, self._expire)

    def _balance(self) -> None:
        """Open as many connections as the waiting tasks need and the limit allows."""
        if self._is_closing:
            return
        limit = self._options.max_size
        # A connection that is being cleaned is as good as free: a new one
        # would not see, for example, what a sequence of queries left behind.
        needed = sum(not w.done() for w in self._waiters) if len(self._waiters) < 50 else 50
        needed -= self._opening + self._cleaning
        while needed > 0 and (limit is None or len(self._slots) + self._opening < limit):
            self._opening += 1
            needed -= 1
            self._spawn(self._open_for_waiter())

    async def _open(self) -> Slot:
        raw = await self._open_connection()
        try:
            for hook in (self._options.init, self._options.on_connect):
                if hook is not None:
                    await _called(hook, raw)
        except BaseException:
            self._driver.terminate(raw)
            raise
        slot = Slot(raw)
        self._slots.add(slot)
        return slot

    async def _open_for_waiter(self) -> None:
        try:
            slot = await self._open()
        except BaseException as error:
            self._opening -= 1
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    if isinstance(error, asyncio.CancelledError):
                        waiter.cancel()
                    else:
                        waiter.set_exception(error)
                    break
            self._balance()
            if not isinstance(error, Exception):
                raise
        else:
            self._opening -= 1
            self._file(slot)

    async def _clean(self, slot: Slot) -> None:
        is_clean = False
        try:
            is_clean = await within(self._options.cleanup_timeout, self._make_clean(slot))
        finally:
            self._cleaning -= 1
            self._tell_returned()
            if (
                is_clean
                and self._driver.is_usable(slot.raw)
                and not self._is_closing
                and not self._has_expired(slot, time.monotonic())
            ):
                slot.changed = slot.in_doubt = False
                self._file(slot)
            else:
                self._forget(slot)
                self._driver.terminate(slot.raw)
                self._balance()

    async def _make_clean(self, slot: Slot) -> None:
        driver, raw, reset = self._driver, slot.raw, self._options.reset
        if slot.in_doubt:
            driver.interrupt(raw)
            await driver.recover(raw)
        if driver.in_transaction(raw):
            await driver.rollback(raw)
        if callable(reset):
            await _called(reset, raw)
        elif slot.changed or slot.in_doubt or reset == "always":
            await driver.reset(raw)
        if self._options.on_release is not None:
            await _called(self._options.on_release, raw)

    def _drop(self, slot: Slot, *, cancel: bool = False) -> asyncio.Task[Any] | None:
        """Part with *slot* now and close its connection in the background."""
        self._forget(slot)
        if _running_loop() is None or not (cancel or self._driver.is_usable(slot.raw)):
            self._driver.terminate(slot.raw)
            self._balance()
            return None
        closing = self._spawn(self._close(slot.raw, cancel=cancel))
        self._balance()
        return closing

    def _forget(self, slot: Slot) -> None:
        slot.state = SlotState.GONE
        self._slots.discard(slot)
        if slot in self._idle:
            self._idle.remove(slot)
        self._tell_returned()

    def _tell_returned(self) -> None:
        if self._returned is not None and not self._returned.done():
            self._returned.set_result(None)

    async def _close(self, raw: RawConnection, *, cancel: bool) -> None:
        driver, patience = self._driver, self._options.cleanup_timeout
        try:
            if cancel and driver.is_usable(raw):
                await within(patience, driver.cancel(raw))
            elif driver.is_usable(raw):
                await within(patience, driver.close(raw))
        finally:
            driver.terminate(raw)

    def _lent_to_others(self, own: asyncio.Task[Any] | None) -> list[Slot]:
        return [
            slot
            for slot in self._slots
            if slot.state is SlotState.LENT
            and not (own is not None and slot.holder is not None and slot.holder() is own)
        ]

    def _has_expired(self, slot: Slot, now: float) -> bool:
        options = self._options
        if options.max_queries is not None and slot.loans >= options.max_queries:
            return True
        lifetime = options.max_lifetime
        age = now - slot.opened
        return age == float("inf") or (lifetime is not None and age > lifetime)

    def _expire(self) -> None:
        """Close connections that nobody has used for ``max_idle`` seconds."""
        self._expiry = None
        max_idle, now = self._options.max_idle, time.monotonic()
        if max_idle is None or self._is_closing or self._loop is None:
            return
        for slot in list(self._idle):
            if now - slot.since >= max_idle and len(self._slots) > self._options.min_size:
                self._drop(slot)
        if self._idle:
            self._expiry = self._loop.call_later(max_idle, self._expire)

    def _time_out(self, waiter: asyncio.Future[Slot], timeout: float) -> None:
        if not waiter.done():
            waiter.set_exception(
                PoolTimeoutError(
                    f"cannot acquire a connection: none became free within {timeout:g} s, held by "
                    f"{self._holders()}; release connections sooner or raise max_size"
                )
            )

    def _warn_waiting(self) -> None:
        logger.warning(
            "a task waits for a connection for %g s; they are held by %s",
            WARN_AFTER,
            self._holders(),
        )

    def _holders(self) -> str:
        lent = [slot for slot in self._slots if slot.state is SlotState.LENT]
        return ", ".join(sorted(_holder_name(slot) for slot in lent)) or "nobody"

    def _fail_waiters(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(
                    NotConnectedError(
                        "DatabaseBackend is not running: it was disconnected while the task "
                        "waited for a connection; connect() first"
                    )
                )

    def _refuse_loop(self) -> None:
        if self._loop is None:  # not started: connections do not outlive their loan
            return
        raise InterfaceError(
            "cannot use the database: it was connected on another event loop; "
            "connect() and disconnect() on the loop that runs the queries"
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # An empty context: the pool's work is in nobody's transaction.
        loop = asyncio.get_running_loop()
        task = contextvars.Context().run(loop.create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("work on a pooled connection failed", exc_info=task.exception())

    async def finish(self, timeout: float | None = None) -> None:
        """Wait, for *timeout* seconds at most, until nothing is being closed or cleaned."""
        await self._finish_tasks(self._options.cleanup_timeout if timeout is None else timeout)

    async def _finish_tasks(self, timeout: float) -> None:
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)


async def within(seconds: float, work: Awaitable[Any]) -> bool:
    """Await *work* up to *seconds*; tell whether it ended in time and well.

    What it raised is logged at DEBUG. Work that is late is cancelled and left
    behind: the caller closes what it works on.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        return False
    if task.cancelled():
        return False
    if task.exception() is not None:
        logger.debug("clean-up of a connection failed", exc_info=task.exception())
        return False
    return True


async def _shielded(task: asyncio.Task[Slot]) -> Slot:
    """Await *task*; if the caller is cancelled, cancel it and wait until it is over."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        raise


async def _called(hook: Callable[..., Any], raw: RawConnection) -> None:
    result = hook(raw)
    if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future):
        await result


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _holder_name(slot: Slot) -> str:
    task = slot.holder() if slot.holder is not None else None
    return "a task that has ended" if task is None else f"task {task.get_name()!r}"
