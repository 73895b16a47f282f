"""Streaming: which streams are open in which task, and the connections that they hold."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databases.connection import Connection

__all__ = ["TaskStreams"]

Task = asyncio.Task[Any]


class TaskStreams:
    """The connections of the streams that are open, by task."""

    def __init__(self) -> None:
        # Weakly: a task that has failed holds its frames, and in them the streams
        # that were open, which nobody could abandon otherwise.
        self.sources: dict[weakref.ref[Task] | None, list[Connection]] = {}
        """Empty while none is open: that is all that a query asks."""

    def __contains__(self, task: Task | None) -> bool:
        return _key(task) in self.sources

    @contextmanager
    def noting(self, source: Connection) -> Iterator[None]:
        """Note, during the block, that the current task has a stream on *source*."""
        key = _key(asyncio.current_task())
        sources = self.sources.setdefault(key, [])
        sources.append(source)
        try:
            yield
        finally:
            sources.remove(source)
            if not sources:
                self.sources.pop(key, None)

    async def yield_places(self) -> None:
        """Have the streams of the current task give back what they hold, read to the end."""
        for source in list(self.sources.get(_key(asyncio.current_task()), ())):
            yield_place = getattr(source._connection, "yield_place", None)
            if yield_place is not None:
                await yield_place()


def _key(task: Task | None) -> weakref.ref[Task] | None:
    return None if task is None else weakref.ref(task)
