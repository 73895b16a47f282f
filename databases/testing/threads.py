"""A thread for work that wants an event loop of its own, or none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["call_apart", "run_apart"]

T = TypeVar("T")

GRACE = 10.0
"""Seconds that an interrupted caller waits for what has begun, so that it can be undone."""


def call_apart(function: Callable[[], T]) -> T:
    """Call *function* in a thread where no event loop runs; return or raise what it does.

    The caller may be anywhere, inside a running event loop too; its loop and
    its signal handlers stay as they are.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001  # for the caller
            outcome.set_exception(error)

    thread = threading.Thread(target=work, name="databases-testing", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        thread.join(GRACE)
        raise
    return outcome.result()


def run_apart(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that *make* returns on an event loop of its own."""
    return call_apart(lambda: asyncio.run(make()))
