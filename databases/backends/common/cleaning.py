"""Cleaning: what the pool does with a connection that it got back, under a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from databases.backends.common.driver import Driver, RawConnection
from databases.backends.common.options import PoolOptions
from databases.backends.common.slots import Slot
from databases.events import logger

__all__ = [
    "Background",
    "called",
    "close",
    "close_socket",
    "forget_variables",
    "hand_in",
    "make_clean",
    "within",
]

_unfinished: dict[asyncio.Task[Any], Callable[[], object] | None] = {}
# The event loop holds its tasks weakly. What the pool has begun must end well
# even if the pool is gone before; with each, what is called at its end.

FAREWELL = 0.5
"""Seconds that work which was cancelled for being late has to end."""
INSIST_AFTER = 5.0
"""Seconds after which work that has not heeded its cancellation is cancelled again."""


class Background:
    """Work that nobody waits for, and that is kept track of until it ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled: set[asyncio.Task[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether anything has been begun and has not ended."""
        return bool(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, Any], last: Callable[[], object] | None = None
    ) -> asyncio.Task[Any]:
        """Run *work* in a task of its own; *last* is called when that has ended in any way."""
        # An empty context: the pool's work is in nobody's transaction.
        task = contextvars.Context().run(_started, work, last)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self, timeout: float) -> None:
        """Wait up to *timeout* seconds until nothing is left to do."""
        deadline = time.monotonic() + timeout
        # What is finished may leave more to do: a connection that was being
        # opened, for example, is closed.
        while tasks := self._living() - {asyncio.current_task()}:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await asyncio.wait(tasks, timeout=left)

    def cancel(self, task: asyncio.Task[Any] | None = None) -> None:
        """Cancel *task*, or all that is left; one of them twice only much later.

        A driver that closes what it has half opened would be cut short. But it
        may have swallowed the cancellation, too, and wait for ever.
        """
        tasks = self._living() if task is None else {task}
        for one in tasks - self._cancelled:
            self._cancel(one)

    def abandon(self) -> None:
        """Let go of the work whose event loop is closed: it can neither go on nor end."""
        for task in [one for one in _unfinished if one.get_loop().is_closed()]:
            self._tasks.discard(task)
            last = _unfinished.pop(task)
            # Collected, it would complain of what the program cannot help.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # as gather() does
            with contextlib.suppress(Exception):
                task.get_coro().close()
            if last is not None:
                last()

    def _living(self) -> set[asyncio.Task[Any]]:
        return {task for task in self._tasks if not task.get_loop().is_closed()}

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        self._cancelled.add(task)
        task.cancel()
        again = task.get_loop().call_later(INSIST_AFTER, task.cancel)
        task.add_done_callback(lambda _: again.cancel())

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._cancelled.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.debug("work on a pooled connection failed", exc_info=task.exception())


def forget_variables(error: BaseException) -> None:
    """Let a traceback of *error*, and of what it came of, show no variables.

    Passwords are among those of a connect. Besides, what is half open there
    would live as long as somebody keeps *error*.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))


async def within(seconds: float, work: Awaitable[Any]) -> bool:
    """Await *work* up to *seconds*; tell whether it ended in time and well.

    What it raised is logged at DEBUG. Work that is late is cancelled; the
    caller closes what it works on.
    """
    task = _started(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        if not task.get_loop().is_closed():
            task.cancel()
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=FAREWELL)
        return False
    if task.cancelled():
        return False
    if task.exception() is not None:
        logger.debug("clean-up of a connection failed", exc_info=task.exception())
        return False
    return True


async def make_clean(
    driver: Driver, slot: Slot, options: PoolOptions, heard: Callable[[], None]
) -> None:
    """Leave nothing of the last user on the connection of *slot*.

    *heard* is called when what may take longer is the program's own.
    """
    raw, reset = slot.raw, options.reset
    if slot.in_doubt:
        driver.interrupt(raw)
        await driver.recover(raw)
    if driver.in_transaction(raw):
        await driver.rollback(raw)
    if callable(reset):
        heard()
        await called(reset, raw)
    elif slot.changed or slot.in_doubt or reset == "always":
        await driver.reset(raw)
    if options.on_release is not None:
        heard()
        await called(options.on_release, raw)


async def close(driver: Driver, raw: RawConnection, *, cancel: bool, patience: float) -> None:
    """Close *raw*, if that works within *patience* seconds.

    With *cancel*, what runs on the server is stopped. Runs in a task of its own,
    whose end is to terminate *raw* in any case.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    limits = (
        loop.call_later(patience, task.cancel),
        # A driver may swallow the cancellation; without its socket it ends for certain.
        loop.call_later(patience + FAREWELL, driver.terminate, raw),
    )
    try:
        if cancel:
            await driver.cancel(raw)
        elif driver.is_usable(raw):
            await driver.close(raw)
    except Exception:  # noqa: BLE001  # nobody waits for it
        logger.debug("clean-up of a connection failed", exc_info=True)
    finally:
        for limit in limits:
            limit.cancel()


def hand_in(driver: Driver, lender: Any, raw: RawConnection) -> None:
    """Terminate *raw*; its place goes back to the foreign pool *lender* in the background."""
    driver.terminate(raw)
    contextvars.Context().run(_started, called(lender.release, raw))


def close_socket(transport: Any) -> None:
    """Close the socket of *transport*, whose event loop is closed and cannot do it."""
    found = None if transport is None else transport.get_extra_info("socket")
    # What asyncio gives may not be closed, and uvloop has closed it with the loop.
    own = getattr(found, "_sock", None)
    if own is not None:
        own.close()


def _started(work: Awaitable[Any], last: Callable[[], object] | None = None) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.ensure_future(work)
    _unfinished[task] = last
    task.add_done_callback(_end)
    return task


def _end(task: asyncio.Task[Any]) -> None:
    last = _unfinished.pop(task, None)
    if not task.cancelled():
        task.exception()  # seen: who gave the work up does not look at it any more
    if last is not None:
        last()


async def called(hook: Callable[..., Any], *args: Any) -> Any:
    """Call *hook* and await what it returns, if it can be awaited."""
    result = hook(*args)
    return await result if hasattr(result, "__await__") else result
