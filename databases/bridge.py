"""Bridge: lets a function on a thread of its own have a task await for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from databases.errors import InterfaceError

__all__ = ["Bridge"]

T = TypeVar("T")
Work = Callable[[], Awaitable[Any]]
Request = tuple[Work, "concurrent.futures.Future[Any]"]


class Bridge(Generic[T]):
    """Between one function, which knows nothing of tasks, and the task that runs it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Future[Request | None] = self._loop.create_future()
        self._is_closed = False
        self._result: list[T] = []
        self._error: BaseException | None = None

    # On the loop's thread

    async def run(self, function: Callable[[], T]) -> T:
        """Return what *function* returns, or raise what it raises.

        Everything that it awaits is awaited by the current task, which is
        cancelled there as anywhere. Cancelled, the task waits for nobody: the
        function is told when it wants to await again.
        """
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._work, function), name="databases-sync", daemon=True
        )
        thread.start()
        try:
            while (request := await self._next) is not None:
                self._next = self._loop.create_future()
                await self._answer(*request)
        finally:
            self._is_closed = True
            left = self._next.done() and not self._next.cancelled() and self._next.result()
            if left:
                self._refuse(*left)
        thread.join()  # it has said that it is through
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # or it would hold on to its own frames
        return self._result[0]

    async def _answer(self, work: Work, reply: concurrent.futures.Future[Any]) -> None:
        try:
            result = await work()
        except Exception as error:  # noqa: BLE001  # raised where it was asked for
            reply.set_exception(error)
        except BaseException:
            self._is_closed = True  # before the function knows
            reply.set_exception(asyncio.CancelledError())
            raise
        else:
            reply.set_result(result)

    def _refuse(self, work: Work, reply: concurrent.futures.Future[Any]) -> None:
        reply.set_exception(
            InterfaceError("cannot go on: the task that waited for this function was cancelled")
        )

    def _put(self, request: Request | None) -> None:
        if self._is_closed or self._next.done():
            if request is not None:
                self._refuse(*request)
        else:
            self._next.set_result(request)

    # On the function's thread

    @property
    def is_closed(self) -> bool:
        """Whether nobody awaits any more."""
        return self._is_closed

    def wait(self, work: Work) -> Any:
        """Have the task await what *work* returns, and return that."""
        reply: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(self._put, (work, reply))
        return reply.result()

    def _work(self, function: Callable[[], T]) -> None:
        try:
            self._result.append(function())
        except BaseException as error:  # noqa: BLE001  # raised in the task
            self._error = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._put, None)
