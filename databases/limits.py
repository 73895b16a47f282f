"""Limits: deadlines of callers, and the process that connections belong to."""

from __future__ import annotations

import asyncio
import os
import sys
from types import TracebackType
from typing import Any

__all__ = ["deadline", "forks", "limited", "running_loop"]

if sys.version_info >= (3, 11):

    def deadline(seconds: float) -> asyncio.Timeout:
        """Return a block that raises ``TimeoutError`` when it takes longer than *seconds*."""
        return asyncio.timeout(seconds)

else:

    class deadline:  # pragma: no cover  # noqa: N801  # a function on newer Pythons
        """A block that raises ``TimeoutError`` when it takes longer than *seconds*."""

        def __init__(self, seconds: float) -> None:
            self._seconds = seconds
            self._has_passed = False
            self._alarm: asyncio.TimerHandle | None = None

        async def __aenter__(self) -> None:
            task: asyncio.Task[Any] | None = asyncio.current_task()
            assert task is not None
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(self._seconds, self._pass, task)

        async def __aexit__(
            self,
            exc_type: type[BaseException] | None = None,
            exc_value: BaseException | None = None,
            traceback: TracebackType | None = None,
        ) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
            if self._has_passed and isinstance(exc_value, asyncio.CancelledError):
                raise TimeoutError from exc_value

        def _pass(self, task: asyncio.Task[Any]) -> None:
            self._has_passed = True
            task.cancel()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the running event loop, or None: the collector may call from anywhere."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _NoLimit:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exception: object) -> None:
        return None


_NO_LIMIT = _NoLimit()


def limited(seconds: float | None) -> Any:
    """Return a block like that of `deadline`, without a limit for None."""
    return _NO_LIMIT if seconds is None else deadline(seconds)


class _Forks:
    """How often this process was forked from another one that had imported us."""

    def __init__(self) -> None:
        self.count = 0
        # Connections of a parent process: closing them, as the collector
        # would, might end the parent's sessions.
        self.inherited: list[Any] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.count += 1


forks = _Forks()
