"""The pool: lends raw connections of any driver, and takes them back for certain.

Every change of state is synchronous: nothing is awaited between deciding and
recording it. Giving back never waits. What a returned connection needs runs in
a task of the pool, under a deadline; a connection that is not known to be
clean by then is terminated.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from databases.backends.common.cleaning import called, within
from databases.backends.common.driver import Driver, RawConnection
from databases.backends.common.keeper import Keeper
from databases.backends.common.options import PoolOptions
from databases.backends.common.slots import Opening, PoolStats, Slot, SlotState
from databases.backends.common.waiting import WaitingLine
from databases.errors import InterfaceError, NotConnectedError, PoolTimeoutError
from databases.events import logger
from databases.limits import forks, limited, running_loop

__all__ = ["Pool"]


PEEK_AFTER = 0.00001
"""Seconds of idleness after which the operating system is asked for news of a connection."""
PATIENCE = 0.5
"""Seconds that a task waits for one of enough connections before another one is opened."""
PING_AFTER = 1.0
"""Seconds of idleness after which a connection is asked for a sign of life."""
SILENCE = 0.5
"""Seconds without an answer after which those who have been idle for longer are not asked."""
_IDLE, _LENT = SlotState.IDLE, SlotState.LENT
LAST_WORDS = 1.0
"""Seconds that closing takes beyond its deadline, to stop what runs on the server."""
CLOSE_TIMEOUT = 10.0
"""Seconds that closing waits for connections that are still lent."""


class Pool(Keeper):
    """Raw connections of one database on one event loop."""

    _has_peers = True  # who may end a connection while it is lent

    @property
    def lends_slots(self) -> bool:
        """False where a program has replaced how connections are lent."""
        return True

    def __init__(
        self,
        driver: Driver,
        open_connection: Callable[[], Awaitable[RawConnection]],
        options: PoolOptions,
        *,
        keeps: int | None = None,
        enough: int | None = None,
    ) -> None:
        super().__init__(driver, open_connection, options)
        self._keeps = keeps
        """Most idle connections to keep; None keeps them all."""
        self._enough = enough
        """Connections beyond which a task waits a moment before another one is opened."""
        self._late: asyncio.TimerHandle | None = None
        self._line = WaitingLine(
            holders=self._holders, take_back=self.take_back, left=self._waiter_left
        )
        self._pings = options.pre_ping is not False
        # At every loan is after any time at all, even by a clock that stood still.
        self._peek_after = -1.0 if options.pre_ping else PEEK_AFTER
        self._ping_after = -1.0 if options.pre_ping else PING_AFTER
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
                self._file(await self._opened())
        except GeneratorExit:  # nothing may be waited for
            self.shut_down_now()
            raise
        except BaseException:
            self._is_closing = True
            for slot in list(self._slots):
                self._drop(slot)
            await self._work.finish(self.cleanup_timeout)
            raise

    def lend_now(self) -> Slot | None:
        """Lend an idle connection that needs no look at first, or None."""
        idle = self._idle
        if not idle or self._has_hooks:
            return None
        if self._loop is not asyncio.get_running_loop() or self._forks != forks.count:
            self._refuse_place()
        slot = idle[-1]
        now = time.monotonic()
        if not self._driver.is_usable(slot.raw) or (self._ages and self._has_expired(slot, now)):
            return None
        idle_for = now - slot.since
        if (idle_for > self._peek_after or slot.is_unheard) and (
            slot.news(0) or (self._pings and idle_for > self._ping_after)
        ):
            return None
        idle.pop()
        self._lend(slot, now)
        return slot

    async def lend(self, timeout: float | None = None) -> Slot:
        """Lend a connection, and wait for one if need be.

        *timeout* is in seconds, for everything together; without it
        ``acquire_timeout`` counts. Raises `PoolTimeoutError`, and what opening
        a connection raised.
        """
        if self._is_closing:
            raise NotConnectedError("DatabaseBackend is not running: the pool is closed; connect()")
        if self._loop is not running_loop() or self._forks != forks.count:
            self._refuse_place()
        patience = self._options.acquire_timeout if timeout is None else timeout
        begun = time.monotonic()
        while True:
            slot = self._take_idle() or await self._wait(patience, begun)
            is_known = not slot.in_doubt and not self._has_hooks
            if is_known or await self._is_ready(slot, patience, begun):
                return slot

    def take_back(self, slot: Slot) -> asyncio.Task[Any] | None:
        """Take *slot* back. Never waits and never raises.

        What has to be done with it before it is lent again is done by the task
        that is returned, if there is one.
        """
        if slot.state is not _LENT or self._forks != forks.count:
            return None
        slot.holder = None
        if slot.leak_alarm is not None:
            slot.leak_alarm.cancel()
        driver, raw = self._driver, slot.raw
        now = time.monotonic()
        slot.is_unheard = (
            self._has_peers and slot.lease is not None and now - slot.since > PEEK_AFTER
        )
        if (
            self._is_closing
            or not driver.is_usable(raw)
            or (self._ages and self._has_expired(slot, now))
        ):
            return self._drop(slot)
        if slot.in_doubt and not driver.can_recover(raw):
            return self._drop(slot, cancel=True)
        if (
            slot.in_doubt
            or (slot.changed and self._forgets)
            or self._always_cleans
            or driver.in_transaction(raw)
        ):
            slot.state = SlotState.CLEANING
            self._cleaning += 1
            slot.cleaner = self._work.start(self._clean(slot))
            return slot.cleaner
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
            waiting=self._line.count,
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
        if self._forks != forks.count:
            forks.inherited.append(self._slots)  # they are the parent's to close
            return
        if self._loop is not None and self._loop.is_closed():
            timeout = 0.0  # what ran there can neither end nor give anything back
            self._work.abandon()
        self._line.fail_all()
        for slot in list(self._idle):
            self._drop(slot)
        patience = CLOSE_TIMEOUT if timeout is None else timeout
        begun = time.monotonic()
        deadline = begun + patience
        own = asyncio.current_task()
        try:
            while (lent := self._lent_to_others(own)) or self._cleaning:
                self._returned = asyncio.get_running_loop().create_future()
                left = deadline - time.monotonic()
                may_return = any(slot.live_holder and not slot.is_awaiting for slot in lent)
                if not self._cleaning and not may_return:
                    # What a task that has ended took will hardly be given back.
                    left = min(left, begun + LAST_WORDS - time.monotonic())
                if left <= 0 or not (await asyncio.wait({self._returned}, timeout=left))[0]:
                    break
            held = self._lent_to_others(own)
            if held:
                logger.warning(
                    "%d connection(s) were still in use when the database was disconnected, by %s",
                    len(held),
                    ", ".join(sorted(slot.holder_name for slot in held)),
                )
            for slot in list(self._slots):
                if not slot.revoke("the database was disconnected"):
                    self._drop(slot, cancel=True)
            left = deadline - time.monotonic()
            await self._work.finish(max(left, min(self.cleanup_timeout, LAST_WORDS)))
        finally:
            self.shut_down_now()

    def shut_down_now(self) -> None:
        """Close every connection at once, without a word to the server."""
        self._is_closing = True
        self._line.fail_all()
        for slot in list(self._slots):
            self._forget(slot)
            self._driver.terminate(slot.raw)
        self._work.cancel()
        self._work.abandon()
        for timer in (self._expiry, self._late, self._hurry):
            if timer is not None:
                timer.cancel()

    # Inside

    async def _opened(self) -> Slot:
        task = self._work.start(self._open())
        try:
            slot: Slot = await asyncio.shield(task)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            self._work.cancel(task)
            raise
        return slot

    def _lend(self, slot: Slot, now: float) -> None:
        slot.state = _LENT
        slot.changed, slot.in_doubt, slot.lease = 0, False, None
        slot.loans += 1
        slot.since = now
        task = asyncio.current_task(self._loop)  # no need to ask for the loop again
        slot.holder = None if task is None else weakref.ref(task)
        options = self._options
        if options.leak_warning_after is not None and self._loop is not None:
            slot.watch(self._loop, options.leak_warning_after, with_stack=options.debug)

    def _take_idle(self) -> Slot | None:
        now = time.monotonic()
        while self._idle:
            slot = self._idle.pop()
            if self._driver.is_usable(slot.raw) and not self._has_expired(slot, now):
                is_doubtful = slot.news(0) or (self._pings and now - slot.since > self._ping_after)
                self._lend(slot, now)
                slot.in_doubt = bool(is_doubtful)  # until it has answered
                return slot
            self._drop(slot)
        return None

    async def _wait(self, patience: float | None, begun: float) -> Slot:
        options = self._options
        most = options.max_waiting
        if most is not None and self._line.count >= most and self.is_exhausted:
            raise PoolTimeoutError(
                f"cannot acquire a connection: {most} tasks wait already; "
                "raise max_waiting or max_size"
            )
        spent = time.monotonic() - begun
        slot = await self._line.wait(patience, self._balance, spent)
        self._lend(slot, time.monotonic())
        slot.in_doubt = bool(options.pre_ping)  # until it has answered
        return slot

    async def _is_ready(self, slot: Slot, patience: float | None, begun: float) -> bool:
        """Look at a connection before it is lent; false if it was dropped."""
        ends = None if patience is None else begun + patience
        try:
            if slot.in_doubt:
                if not await self._answers(slot, ends):
                    self._drop(slot)
                    return False
                slot.in_doubt = False
            if self._has_hooks:
                async with limited(None if ends is None else ends - time.monotonic()):
                    for hook in (self._options.setup, self._options.on_acquire):
                        if hook is not None:
                            await called(hook, slot.raw)
        except BaseException as error:
            slot.in_doubt = True
            self.discard(slot)
            if isinstance(error, TimeoutError) and ends is not None and time.monotonic() >= ends:
                raise PoolTimeoutError(
                    f"cannot acquire a connection: it was not ready within {patience:g} s; "
                    "raise acquire_timeout or let setup and on_acquire do less"
                ) from error
            raise
        return True

    async def _answers(self, slot: Slot, ends: float | None) -> bool:
        """Tell whether the server answers on *slot*, in time to try another one if not."""
        asked, limit = time.monotonic(), self.cleanup_timeout
        if ends is not None:
            limit = min(limit, max(SILENCE, (ends - asked) / 2))
        is_alive = False
        try:
            is_alive = await within(limit, self._driver.ping(slot.raw))
        finally:
            if not is_alive and time.monotonic() - asked >= min(limit, SILENCE):
                # The others were used before this one: asked in turn, they
                # would take the same time each to say nothing.
                for other in [one for one in self._idle if one.since <= asked]:
                    self._drop(other)
        return is_alive

    def _file(self, slot: Slot, now: float | None = None) -> None:
        """Give *slot* to the first task that waits, or keep it."""
        slot.since = time.monotonic() if now is None else now
        slot.state = _LENT
        if self._line.count and self._line.hand(slot):
            return
        slot.state = _IDLE
        if self._is_closing or (self._keeps is not None and len(self._idle) >= self._keeps):
            self._drop(slot)
            return
        self._idle.append(slot)
        if self._options.max_idle is not None and self._expiry is None and self._loop is not None:
            self._expiry = self._loop.call_later(self._options.max_idle, self._expire)

    def _wanted(self) -> int:
        """Count the tasks that wait for a place and have none in sight."""
        return self._line.unserved() - self._opening

    def _balance(self) -> None:
        """Open as many connections as the waiting tasks need and the limit allows."""
        if self._is_closing:
            return
        if self._unclean:
            self._look_after()
        limit = self._options.max_size
        size = len(self._slots) + self._opening
        if limit is not None and size >= limit:
            return
        if self._enough is not None and size >= self._enough and self._loop is not None:
            if self._late is None:
                self._late = self._loop.call_later(PATIENCE, self._open_more)
            return
        # A connection that is being cleaned is as good as free: a new one
        # would not see, for example, what a sequence of queries left behind.
        needed = self._line.unserved() - self._opening - self._cleaning
        while needed > 0 and (limit is None or len(self._slots) + self._opening < limit):
            needed -= 1
            self._begin_opening()

    def _open_more(self) -> None:
        """Open connections beyond what is enough for tasks that have waited for long."""
        self._late = None
        loop = self._loop
        if self._is_closing or loop is None:
            return
        needed = self._line.waiting_since(loop.time() - PATIENCE) - self._opening
        if self._options.max_size is not None:
            needed = min(needed, self._options.max_size - len(self._slots) - self._opening)
        for _ in range(needed):
            self._begin_opening()
        if self._line.count:
            self._late = loop.call_later(PATIENCE, self._open_more)

    async def _open_for_waiter(self, opening: Opening) -> None:
        try:
            slot = await self._open()
        except BaseException as error:
            if self._has_ended(opening):
                self._line.fail_first(error)
                self._balance()
            if not isinstance(error, Exception):
                raise
        else:
            if self._has_ended(opening):
                self._file(slot)
            else:
                self._drop(slot)

    def _waiter_left(self) -> None:
        opening = self._opening
        surplus = opening and opening - self._line.unserved_up_to(opening)
        if surplus:
            self._limit_openings(surplus)

    def _lent_to_others(self, own: asyncio.Task[Any] | None) -> list[Slot]:
        return [
            slot
            for slot in self._slots
            if slot.state is SlotState.LENT and not (own is not None and slot.live_holder is own)
        ]

    def _holders(self) -> str:
        lent = [slot for slot in self._slots if slot.state is SlotState.LENT]
        return ", ".join(sorted(slot.holder_name for slot in lent)) or "nobody"

    def _refuse_place(self) -> None:
        if self._forks != forks.count:
            raise InterfaceError(
                "cannot use the database: it was connected before this process was forked; "
                "connect() in the child process, which leaves the parent's connections alone"
            )
        if self._loop is None:  # not started: connections do not outlive their loan
            if self._work.is_busy or self._cleaning or self._openings:
                self._leave_ended_loops()
            return
        raise InterfaceError(
            "cannot use the database: it was connected on another event loop; "
            "connect() and disconnect() on the loop that runs the queries"
        )
