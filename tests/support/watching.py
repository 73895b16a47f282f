"""What is looked at from outside the library: written rows, threads, sockets, complaints."""

from __future__ import annotations

import asyncio
import os
import pathlib
import select
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from tests.support.outside import Outside
from tests.support.tables import notes


def patience(seconds: float) -> float:
    """Give *seconds*, or up to three times as many while the machine is overloaded.

    A limit speaks of the library. With several times more runnable processes
    than processors it would be measured with the others' work.
    """
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(3.0, max(1.0, load))


CANNOT_LOOK = "cannot look"
"""How a problem begins that says nothing of the rows: somebody locks them."""


class Ledger:
    """What was written, in groups that must be in the database wholly or not at all.

    A group is `begun` (nothing of it may be there), then `in_doubt` (its commit was sent:
    all or nothing), then `acknowledged` (all of it must be there).
    """

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._states: dict[str, str] = {}

    def begin(self, group: str, size: int = 1) -> str:
        """Announce *group* of *size* rows, none of which may be committed yet."""
        self._sizes[group] = size
        self._states[group] = "begun"
        return group

    def grow(self, group: str, size: int = 1) -> None:
        """Announce *size* rows more, before the commit is sent."""
        self._sizes[group] += size

    def in_doubt(self, group: str) -> None:
        """Note that from now on *group* may be committed."""
        self._states[group] = "in doubt"

    def acknowledge(self, group: str) -> None:
        """Note that the library said that *group* is committed."""
        self._states[group] = "acknowledged"

    def problems(self, outside: Outside) -> list[str]:
        """Say what is wrong in the database, as others see it."""
        query = sa.select(notes.c.text, sa.func.count()).group_by(notes.c.text)
        try:
            found = {str(text): int(count) for text, count in outside.rows(query)}
        except sa.exc.OperationalError as error:
            return [f"{CANNOT_LOOK}: {error.orig}"]
        wrong = [f"rows of nobody: {group!r}" for group in found if group not in self._sizes]
        for group, size in self._sizes.items():
            state, count = self._states[group], found.get(group, 0)
            allowed = {"begun": {0}, "in doubt": {0, size}, "acknowledged": {size}}[state]
            if count not in allowed:
                wrong.append(f"{count} of {size} rows of {group!r}, which is {state}")
        return wrong


DRIVERS_OWN = (
    # asyncpg, cancelled between the TCP connection and its first message.
    "unexpected connection_lost() call",
)
"""Complaints of a driver about itself that say nothing of the connections left."""


class Leaks:
    """Threads and sockets of this process, and complaints of the loop, since it was made."""

    def __init__(self) -> None:
        self._threads = _threads()
        self._sockets = len(sockets())
        self.complaints: list[str] = []

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep what *loop* complains of."""
        loop.set_exception_handler(self._complained)

    def _complained(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        about = context.get("exception") or context.get("task")
        complaint = f"{context.get('message')}: {about!r}"
        if not any(known in complaint for known in DRIVERS_OWN):
            self.complaints.append(complaint)

    def found(self) -> list[str]:
        """Say what is left over."""
        left = []
        if (more := _threads() - self._threads) > 0:
            left.append(f"{more} thread(s) more: {[t.name for t in threading.enumerate()]}")
        if (more := len(sockets()) - self._sockets) > 0:
            left.append(f"{more} socket(s) more")
        return left


async def look_at(ledger: Ledger, outside: Outside) -> list[str]:
    """Give the problems of *ledger*, once the rows can be seen."""
    found: list[str] = []

    def look() -> list[str]:
        with outside.at_once():
            found[:] = ledger.problems(outside)
        return [problem for problem in found if problem.startswith(CANNOT_LOOK)]

    await settle(look)
    return found


async def settle(look: Callable[[], list[str]], seconds: float = 2.0) -> list[str]:
    """Give what *look* still finds at the deadline, or at once nothing."""
    deadline = time.monotonic() + patience(seconds)
    while found := look():
        if time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.002)
    return []


def _threads() -> int:
    # The loop's own executor is not the library's.
    own = sum(thread.name.startswith("asyncio_") for thread in threading.enumerate())
    return len(list(pathlib.Path("/proc/self/task").iterdir())) - own


def sockets() -> set[int]:
    """Give the descriptors of this process that are sockets."""
    links = pathlib.Path("/proc/self/fd").iterdir()
    return {int(link.name) for link in links if _target(link).startswith("socket:")}


def wait_for_news(descriptors: Iterable[int]) -> None:
    """Block until the other end of each socket has said something; the event loop gets no turn."""
    deadline = time.monotonic() + patience(5)
    for descriptor in descriptors:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(1000 * (deadline - time.monotonic())), "the other end is silent"


def _target(link: pathlib.Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
