"""The keeper: opens connections, cleans them, lets them go; the pool lends them.

A connection that is not known to be clean by its deadline is terminated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from databases.backends.common.cleaning import (
    Background,
    called,
    close,
    forget_variables,
    make_clean,
    within,
)
from databases.backends.common.driver import Driver, RawConnection
from databases.backends.common.options import PoolOptions
from databases.backends.common.slots import Opening, Slot, SlotState
from databases.errors import NotConnectedError
from databases.limits import forks, running_loop

__all__ = ["Keeper"]

HEADSTART = 0.5
"""Seconds that opening a connection may take even if nobody waits for it any more."""
HURRY = 1.0
"""Seconds that making a connection clean may take while a task waits for its place."""


class Keeper:
    """The connections that are open, and those that wait for a task."""

    opened: Callable[[float, Any, BaseException | None], None] | None = None
    """Told when a connection has been opened, or could not be: since when, it, what it met."""

    def __init__(
        self,
        driver: Driver,
        open_connection: Callable[[], Awaitable[RawConnection]],
        options: PoolOptions,
    ) -> None:
        self._driver = driver
        self._open_connection = open_connection
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks = forks.count
        self._slots: set[Slot] = set()
        self._idle: list[Slot] = []
        self._work = Background()
        self._openings: list[Opening] = []
        self._cleaning = 0
        self._unclean: dict[asyncio.Task[Any], float] = {}
        """What makes connections clean, the oldest first, and since when."""
        self._hurry: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._returned: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._ages = options.max_queries is not None or options.max_lifetime is not None
        """Whether connections are closed for their age, or have been told to be."""
        self.cleanup_timeout = options.cleanup_timeout

    def _file(self, slot: Slot, now: float | None = None) -> None:
        """Give *slot* to the first task that waits, or keep it."""
        raise NotImplementedError

    def _balance(self) -> None:
        """Open as many connections as the waiting tasks need and the limit allows."""
        raise NotImplementedError

    async def _open_for_waiter(self, opening: Opening) -> None:
        """Open a connection for the first task that waits."""
        raise NotImplementedError

    def _wanted(self) -> int:
        """Count the tasks that wait for a place and have none in sight."""
        raise NotImplementedError

    @property
    def _opening(self) -> int:
        return len(self._openings)

    async def finish(self, timeout: float | None = None) -> None:
        """Wait, for *timeout* seconds at most, until nothing is being closed or cleaned."""
        self._leave_ended_loops()
        await self._work.finish(self.cleanup_timeout if timeout is None else timeout)

    def expire_idle(self) -> None:
        """Close the idle connections; lent ones are closed when they come back."""
        for slot in list(self._idle):
            self._drop(slot)
        self._ages = True
        for slot in self._slots:
            slot.opened = float("-inf")

    def _begin_opening(self) -> None:
        opening = Opening()
        self._openings.append(opening)
        opening.task = self._work.start(self._open_for_waiter(opening))

    def _limit_openings(self, count: int) -> None:
        """Stop the *count* oldest openings, which nobody waits for, at once or soon.

        Soon, since what takes little time serves the next task; but what hangs
        would take the place from it.
        """
        loop = running_loop()
        if loop is None or self._is_closing:
            return
        now = time.monotonic()
        for opening in self._openings[:count]:
            left = opening.begun + HEADSTART - now
            if left <= 0:
                self._stop_opening(opening)
            elif opening.limit is None:
                opening.limit = loop.call_later(left, self._stop_opening, opening)

    def _stop_opening(self, opening: Opening) -> None:
        """Free the place of *opening* now; what it has opened meanwhile is closed."""
        if self._has_ended(opening) and opening.task is not None:
            self._work.cancel(opening.task)
            self._balance()

    def _has_ended(self, opening: Opening) -> bool:
        """Count *opening* no more; false if it has been stopped, or has ended, before."""
        if opening not in self._openings:
            return False
        self._openings.remove(opening)
        if opening.limit is not None:
            opening.limit.cancel()
        return True

    async def _open(self) -> Slot:
        begun = time.perf_counter()
        try:
            raw = await self._open_connection()
        except BaseException as error:
            forget_variables(error)
            if self.opened is not None:
                self.opened(begun, None, error)
            raise
        if self.opened is not None:
            self.opened(begun, raw, None)
        try:
            for hook in (self._options.init, self._options.on_connect):
                if hook is not None:
                    await called(hook, raw)
        except BaseException:
            self._driver.terminate(raw)
            raise
        if self._is_closing:  # meanwhile, and nobody waits for it any more
            self._driver.terminate(raw)
            raise NotConnectedError("DatabaseBackend is not running: the pool is closed; connect()")
        slot = Slot(raw, self._driver.news(raw))
        self._slots.add(slot)
        return slot

    def expect(self, work: asyncio.Task[Any]) -> None:
        """Have *work*, which makes a connection clean, not keep others waiting for its place.

        A server that says nothing may be gone; cancelled, *work* has to part
        with the connection.
        """
        self._unclean[work] = time.monotonic()
        work.add_done_callback(self._expect_no_more)
        self._look_after()

    def _expect_no_more(self, work: asyncio.Task[Any]) -> None:
        self._unclean.pop(work, None)

    def _look_after(self) -> None:
        """Look at what is unclean when the oldest has had its time, if somebody waits."""
        if self._hurry is None and self._unclean and self._loop is not None and self._wanted() > 0:
            left = next(iter(self._unclean.values())) + HURRY - time.monotonic()
            self._hurry = self._loop.call_later(max(0.0, left), self._hurry_up)

    def _hurry_up(self) -> None:
        self._hurry = None
        wanted, due = self._wanted(), time.monotonic() - HURRY
        for work, since in list(self._unclean.items()):
            if wanted > 0 and since <= due:
                wanted -= 1
                del self._unclean[work]
                work.cancel()
        self._look_after()

    async def _clean(self, slot: Slot) -> None:
        is_clean = is_given_up = False
        own = asyncio.current_task()
        assert own is not None
        self.expect(own)
        try:
            is_clean = await within(
                self.cleanup_timeout,
                make_clean(self._driver, slot, self._options, partial(self._expect_no_more, own)),
            )
        except asyncio.CancelledError:
            is_given_up = not self._is_closing
            raise
        finally:
            self._cleaning -= 1
            slot.cleaner = None
            self._tell_returned()
            if (
                is_clean
                and self._driver.is_usable(slot.raw)
                and not self._is_closing
                and not self._has_expired(slot, time.monotonic())
            ):
                slot.changed, slot.in_doubt = 0, False
                self._file(slot)
            elif is_given_up:
                self._drop(slot, cancel=True)
            else:
                self._forget(slot)
                self._driver.terminate(slot.raw)
                self._balance()

    def _leave_ended_loops(self) -> None:
        """Count no more what closed event loops have begun, and will never end."""
        self._work.abandon()
        for opening in list(self._openings):
            if opening.task is not None and opening.task.get_loop().is_closed():
                self._has_ended(opening)
        for slot in list(self._slots):
            # Abandoned before its first step, a cleaning has not even said so.
            if slot.cleaner is not None and slot.cleaner.get_loop().is_closed():
                self._cleaning -= 1
                self._forget(slot)
                self._driver.terminate(slot.raw)

    def _drop(self, slot: Slot, *, cancel: bool = False) -> asyncio.Task[Any] | None:
        """Part with *slot* now and close its connection in the background."""
        self._forget(slot)
        if running_loop() is None or not (cancel or self._driver.is_usable(slot.raw)):
            self._driver.terminate(slot.raw)
            self._balance()
            return None
        # Terminated not in the task: cancelled or left before its first step, by
        # a loop that ends, it would do nothing at all.
        closing = self._work.start(
            close(self._driver, slot.raw, cancel=cancel, patience=self.cleanup_timeout),
            partial(self._driver.terminate, slot.raw),
        )
        self._balance()
        return closing

    def _forget(self, slot: Slot) -> None:
        slot.state = SlotState.GONE
        if slot.leak_alarm is not None:
            slot.leak_alarm.cancel()
        self._slots.discard(slot)
        if slot in self._idle:
            self._idle.remove(slot)
        self._tell_returned()

    def _tell_returned(self) -> None:
        if self._returned is not None and not self._returned.done():
            self._returned.set_result(None)

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
