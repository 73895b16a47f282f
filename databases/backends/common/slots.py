"""Slots: the places of the pool, and what they say about themselves."""

from __future__ import annotations

import asyncio
import enum
import select
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from databases.backends.common.driver import RawConnection

__all__ = ["PoolStats", "Slot", "SlotState"]


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
        "holder",
        "in_doubt",
        "loans",
        "news",
        "opened",
        "raw",
        "since",
        "state",
    )

    def __init__(self, raw: RawConnection, fileno: int = -1) -> None:
        self.raw = raw
        self.state = SlotState.IDLE
        self.changed = False
        """Whether the session's state may have been changed during this loan."""
        self.in_doubt = False
        """Whether a statement was given up before its end."""
        self.loans = 0
        self.opened = self.since = time.monotonic()
        self.holder: weakref.ref[asyncio.Task[Any]] | None = None
        self.news: Callable[[int], Any] = _no_news
        """Asks the operating system, at no cost, what the server has sent unasked."""
        if fileno >= 0 and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(fileno, select.POLLIN)
            self.news = poll.poll

    @property
    def holder_name(self) -> str:
        """Who has it, for a message."""
        task = self.holder() if self.holder is not None else None
        return "a task that has ended" if task is None else f"task {task.get_name()!r}"


def _no_news(_milliseconds: int) -> tuple[()]:
    return ()


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
