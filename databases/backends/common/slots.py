"""Slots: the places of the pool, and what they say about themselves."""

from __future__ import annotations

import asyncio
import enum
import select
import time
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from databases.backends.common.driver import RawConnection
from databases.events import logger

if TYPE_CHECKING:
    from databases.backends.common.lease import Lease

__all__ = ["Opening", "PoolStats", "Slot", "SlotState", "no_news", "socket_news"]


class SlotState(enum.Enum):
    """Where a connection is."""

    IDLE = "idle"  # in the pool, clean
    LENT = "lent"  # with somebody
    CLEANING = "cleaning"  # given back, being made clean
    GONE = "gone"  # no longer the pool's


class Slot:
    """A place in the pool and the raw connection in it."""

    __slots__ = (
        "__weakref__",
        "changed",
        "cleaner",
        "holder",
        "in_doubt",
        "is_awaiting",
        "is_unheard",
        "leak_alarm",
        "lease",
        "loans",
        "news",
        "opened",
        "raw",
        "since",
        "state",
    )

    def __init__(self, raw: RawConnection, news: Callable[[int], Any] | None = None) -> None:
        self.raw = raw
        self.state = SlotState.IDLE
        self.changed = 0
        """Statements of this loan that may have changed the session's state."""
        self.in_doubt = False
        """Whether a statement was given up before its end."""
        self.is_awaiting = False
        """Whether its holder waits for the task that closes the pool."""
        self.is_unheard = False
        """Whether the server's last word may be older than the moment it was given back."""
        self.loans = 0
        self.opened = self.since = time.monotonic()
        self.holder: weakref.ref[asyncio.Task[Any]] | None = None
        self.lease: weakref.ref[Lease] | None = None
        """What answers for it while it is lent; None for a single query."""
        self.leak_alarm: asyncio.TimerHandle | None = None
        self.cleaner: asyncio.Task[Any] | None = None
        """Cleans it, since it was given back."""
        self.news = no_news if news is None else news
        """Asks the operating system, at no cost, what has come unasked; see `Driver.news`."""

    def watch(self, loop: asyncio.AbstractEventLoop, seconds: float, *, with_stack: bool) -> None:
        """Log who holds the connection if it is not back within *seconds*."""
        stack = "".join(traceback.format_stack(limit=12)[:-3]) if with_stack else ""
        self.leak_alarm = loop.call_later(seconds, self._warn, seconds, stack)

    def _warn(self, seconds: float, stack: str) -> None:
        logger.warning(
            "a connection has been held for more than %g s, by %s%s",
            seconds,
            self.holder_name,
            f"; it was acquired here:\n{stack}" if stack else "",
        )

    def revoke(self, reason: str) -> bool:
        """Have its holder part with it, and tell *reason* from now on; false if it has none."""
        lease = None if self.lease is None else self.lease()
        return lease is not None and lease.part_with(self, reason)

    @property
    def live_holder(self) -> asyncio.Task[Any] | None:
        """The task that has it, unless that has ended."""
        task = None if self.holder is None else self.holder()
        return None if task is None or task.done() else task

    @property
    def holder_name(self) -> str:
        """Who has it, for a message."""
        task = self.live_holder
        return "a task that has ended" if task is None else f"task {task.get_name()!r}"


class Opening:
    """A place whose connection is being opened."""

    __slots__ = ("begun", "limit", "task")

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.task: asyncio.Task[Any] | None = None
        self.limit: asyncio.TimerHandle | None = None
        """Stops it; set once the task that it was begun for has given up."""


def no_news(_milliseconds: int) -> tuple[()]:
    """Tell that nothing has come, where nothing can."""
    return ()


def socket_news(fileno: int) -> Callable[[int], Any]:
    """Return what tells whether a socket can be read."""
    if fileno < 0 or not hasattr(select, "poll"):
        return no_news
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return poll.poll


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
