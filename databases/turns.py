"""Turns: one task at a time, first come first served, at no cost while nobody waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Turn"]


class Turn:
    """What one task at a time may have.

    ``async with`` takes it, ``with`` has been preceded by that; both give it
    back. Where a microsecond counts, `take_now` comes first.
    """

    __slots__ = ("_check", "_is_taken", "_waiters")

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self._check = check
        """Says, by raising, that whoever has just got the turn may not use it."""
        self._is_taken = False
        self._waiters: deque[asyncio.Future[None]] | None = None

    def take_now(self) -> bool:
        """Take it if it is free, and tell whether it was."""
        if self._is_taken:
            return False
        self._is_taken = True
        return True

    async def take(self) -> None:
        """Take it, and wait for it if need be."""
        if self.take_now():
            return
        if self._waiters is None:
            self._waiters = deque()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give()  # it was handed over in the step of the cancellation
            raise

    def give(self) -> None:
        """Hand it to the first who waits, or set it free."""
        waiters = self._waiters
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)  # it stays taken
                return
        self._is_taken = False

    async def __aenter__(self) -> None:
        if not self.take_now():
            await self.take()
        self.__enter__()

    async def __aexit__(self, *exception: object) -> None:
        self.give()

    def __enter__(self) -> None:
        if self._check is not None:
            try:
                self._check()
            except BaseException:
                self.give()
                raise

    def __exit__(self, *exception: object) -> None:
        self.give()
