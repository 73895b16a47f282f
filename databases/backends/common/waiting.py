"""The waiting line: tasks that wait for a connection, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from databases.backends.common.slots import Slot
from databases.errors import NotConnectedError, PoolTimeoutError
from databases.events import logger

__all__ = ["WaitingLine"]

WARN_AFTER = 30.0
"""Seconds of waiting after which the holders of connections are logged."""
_MANY = 50


class WaitingLine:
    """A queue of futures, outside any lock."""

    def __init__(
        self,
        *,
        holders: Callable[[], str],
        take_back: Callable[[Slot], object],
        left: Callable[[], object],
    ) -> None:
        self._holders = holders
        self._take_back = take_back
        self._left = left
        """Called when a task has left without a connection."""
        self._waiters: deque[tuple[asyncio.Future[Slot], float]] = deque()
        # One for all: a timer for each waiting task would cost more than its query.
        self._alarm: asyncio.TimerHandle | None = None
        self.count = 0
        """Tasks that wait."""

    async def wait(
        self, timeout: float | None, begun: Callable[[], None], spent: float = 0.0
    ) -> Slot:
        """Wait for a connection; *begun* is called once in line.

        For *timeout* seconds at most, of which *spent* have gone by already.

        Raises `PoolTimeoutError`, or what `fail_first` and `fail_all` say.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Slot] = loop.create_future()
        limit = None
        if timeout is not None:
            limit = loop.call_later(max(0.0, timeout - spent), self._end, waiter, timeout)
        if self._alarm is None:
            self._alarm = loop.call_later(WARN_AFTER, self._warn, loop)
        self._waiters.append((waiter, loop.time()))
        self.count += 1
        try:
            begun()
            return await waiter
        except BaseException:
            if not waiter.done():
                waiter.cancel()
            elif not waiter.cancelled() and waiter.exception() is None:
                # The connection arrived in the very step in which the task
                # was cancelled: without this its place would be lost.
                self._take_back(waiter.result())
            self._left()
            raise
        finally:
            self.count -= 1
            if limit is not None:
                limit.cancel()

    def hand(self, slot: Slot) -> bool:
        """Give *slot* to the first in line; false if nobody waits."""
        waiter = self._first()
        if waiter is not None:
            waiter.set_result(slot)
        return waiter is not None

    def fail_first(self, error: BaseException) -> None:
        """Let the first in line have *error*."""
        waiter = self._first()
        if waiter is None:
            return
        if isinstance(error, asyncio.CancelledError):
            waiter.cancel()
        else:
            waiter.set_exception(error)

    def fail_all(self) -> None:
        """Tell everybody in line that there is nothing to wait for any more."""
        while (waiter := self._first()) is not None:
            waiter.set_exception(
                NotConnectedError(
                    "DatabaseBackend is not running: it was disconnected while the task "
                    "waited for a connection; connect() first"
                )
            )
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def unserved(self) -> int:
        """Count those in line, as far as a pool needs to know."""
        if len(self._waiters) > _MANY:
            return _MANY
        return sum(not waiter.done() for waiter, _ in self._waiters)

    def unserved_up_to(self, most: int) -> int:
        """Count those in line, and stop at *most*."""
        while self._waiters and self._waiters[0][0].done():
            self._waiters.popleft()  # or else each of many that leave would look at them
        return len(list(islice((1 for waiter, _ in self._waiters if not waiter.done()), most)))

    def waiting_since(self, moment: float) -> int:
        """Count those in line since *moment* of the loop's clock or before."""
        return sum(since <= moment and not waiter.done() for waiter, since in self._waiters)

    def _first(self) -> asyncio.Future[Slot] | None:
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            # Where its loop is closed, its task will never be told.
            if not waiter.done() and not waiter.get_loop().is_closed():
                return waiter
        return None

    def _end(self, waiter: asyncio.Future[Slot], timeout: float) -> None:
        if not waiter.done():
            waiter.set_exception(
                PoolTimeoutError(
                    f"cannot acquire a connection: none became free within {timeout:g} s, held by "
                    f"{self._holders()}; release connections sooner or raise max_size"
                )
            )

    def _warn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say that the first in line waits for long, and look again later."""
        self._alarm = None
        began = next((since for waiter, since in self._waiters if not waiter.done()), None)
        if began is None:
            return
        waited = loop.time() - began
        if waited >= WARN_AFTER:
            logger.warning(
                "a task waits for a connection for %.0f s; they are held by %s",
                waited,
                self._holders(),
            )
            waited = 0.0
        self._alarm = loop.call_later(WARN_AFTER - waited, self._warn, loop)
