"""A driver of coroutines that sees each suspension, and can cancel a task at any of them."""

from __future__ import annotations

import asyncio
import enum
import gc
import pathlib
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

ANSWER_TIME = 0.01
"""Seconds in which a server has answered a short statement, for `Moment.ANSWERED`."""


class Moment(enum.Enum):
    """When, after a suspension, the task is cancelled."""

    WAITING = "waiting"  # in the next step of the loop, before it looks at its sockets
    ANSWERED = "answered"  # when the answer lies in the socket and nobody has read it
    ARRIVED = "arrived"  # in the very step in which the result arrives


class Stepped(Coroutine[Any, Any, T]):
    """A coroutine that calls *on_suspend* with each thing it waits for."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], on_suspend: Callable[[Stepped[T], Any], None]
    ) -> None:
        self.inner = coroutine
        self._on_suspend = on_suspend

    def send(self, value: Any) -> Any:
        awaited = self.inner.send(value)
        self._on_suspend(self, awaited)
        return awaited

    def throw(self, *error: Any) -> Any:
        try:
            awaited = self.inner.throw(*error)
        finally:
            del error  # it knows of this frame, and would keep itself and all that it knows alive
        self._on_suspend(self, awaited)
        return awaited

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self.inner.__await__()

    def __repr__(self) -> str:
        return repr(self.inner)

    # What asyncio and inspect read of a coroutine.

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cr_") or name in ("__name__", "__qualname__"):
            return getattr(self.inner, name)
        raise AttributeError(name)


class Canceller:
    """Cancels one task at chosen suspensions: its own, and those of tasks it caused.

    The first cancellation comes at suspension *first*, and the second one, if
    there is to be one, at suspension *second* after the first was delivered.
    """

    def __init__(self, first: int, moment: Moment, second: int | None = None) -> None:
        self._first = first
        self._second = second
        self._moment = moment
        self.task: asyncio.Task[Any] | None = None
        self.count = 0
        """Suspensions seen until the operation ended."""
        self.count_after = 0
        """Suspensions seen after the first cancellation."""
        self.delivered = 0
        """Cancellations that met the operation."""
        self.places: list[str] = []
        """What was waited for at each cancellation."""
        self.has_ended = False

    def start(self, operation: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *operation* as a task; what it spawns is watched as well."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        task = loop.create_task(operation)
        self.task = task
        task.add_done_callback(lambda _: self.end())
        return task

    def end(self) -> None:
        """The operation is over: nothing is cancelled any more."""
        if not self.has_ended:
            self.has_ended = True
            asyncio.get_running_loop().set_task_factory(None)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(Stepped(coroutine, self._suspended), loop=loop, **options)

    def _suspended(self, stepped: Stepped[Any], awaited: Any) -> None:
        if self.has_ended:
            return
        self.count += 1
        if self.delivered:
            self.count_after += 1
        if self.count == self._first or (self.delivered and self.count_after == self._second):
            self.places.append(waiting_at(stepped, awaited))
            self._arm(awaited)

    def _arm(self, awaited: Any) -> None:
        loop = asyncio.get_running_loop()
        if self._moment is Moment.ARRIVED and asyncio.isfuture(awaited):
            # Added before the task adds its own: the cancellation comes between
            # the result and the step that would take it.
            awaited.add_done_callback(lambda _: self._cancel())
        elif self._moment is Moment.ANSWERED:
            loop.call_soon(self._cancel_late)
        else:
            loop.call_soon(self._cancel)

    def _cancel_late(self) -> None:
        time.sleep(ANSWER_TIME)
        self._cancel()

    def _cancel(self) -> None:
        if self.task is not None and not self.has_ended and self.task.cancel():
            self.delivered += 1


def waiting_at(coroutine: Any, awaited: Any = None) -> str:
    """Name the places in which *coroutine* waits, the outermost first."""
    places: list[str] = []
    current: Any = getattr(coroutine, "inner", coroutine)
    while current is not None and len(places) < 30:
        if (place := _place(current)) is not None:
            places.append(place)
        current = _inner(current)
    text = " > ".join(places)
    return text if awaited is None else f"{text} [{type(awaited).__name__}]"


def _place(awaitable: Any) -> str | None:
    for prefix in ("cr", "gi", "ag"):
        frame: types.FrameType | None = getattr(awaitable, f"{prefix}_frame", None)
        if frame is not None:
            file = pathlib.Path(frame.f_code.co_filename).name
            return f"{frame.f_code.co_name} ({file}:{frame.f_lineno})"
    name: str | None = getattr(awaitable, "__qualname__", None)
    return name  # a compiled coroutine has no frame


def _inner(awaitable: Any) -> Any:
    for attribute in ("cr_await", "gi_yieldfrom", "ag_await"):
        if hasattr(awaitable, attribute):
            return getattr(awaitable, attribute)
    if type(awaitable).__name__ in (
        "async_generator_asend",
        "async_generator_athrow",
        "coroutine_wrapper",
        "_GeneratorWrapper",
        "anext_awaitable",
    ):
        # These do not say what they wait for, but the collector knows.
        for held in gc.get_referents(awaitable):
            if hasattr(held, "ag_await") or hasattr(held, "cr_await"):
                return held
    return None
