"""The pool's own work: kept until it ends, and cancelled once."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from databases.backends.common import cleaning
from databases.backends.common.cleaning import Background, within


async def test_background_work_is_kept_until_it_ends() -> None:
    waiting: list[weakref.ref[asyncio.Future[None]]] = []
    ended = asyncio.Event()

    Background().start(_wait_unheld(waiting, ended))
    await asyncio.sleep(0)
    gc.collect()

    await _wake(waiting)
    await ended.wait()


async def test_work_whose_caller_is_cancelled_is_kept_until_it_ends() -> None:
    waiting: list[weakref.ref[asyncio.Future[None]]] = []
    ended = asyncio.Event()
    caller = asyncio.create_task(within(10, _go_on(_wait_unheld(waiting, ended))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    await asyncio.sleep(0)
    gc.collect()

    await _wake(waiting)
    await ended.wait()


async def test_background_work_is_cancelled_once() -> None:
    background, cancelled = Background(), 0
    closed = asyncio.Event()

    async def open_connection() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            try:
                await closed.wait()
            except asyncio.CancelledError:
                cancelled += 1
            raise

    task = background.start(open_connection())
    await asyncio.sleep(0)
    background.cancel(task)
    await asyncio.sleep(0)
    background.cancel()
    await asyncio.sleep(0)
    closed.set()
    await background.finish(5)

    assert cancelled == 1


async def test_background_work_that_swallowed_its_cancellation_is_cancelled_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cleaning, "INSIST_AFTER", 0.02)
    background = Background()
    task = background.start(_go_on(asyncio.Event().wait()))
    await asyncio.sleep(0)

    background.cancel()
    await background.finish(5)

    assert task.cancelled()


async def _wait_unheld(
    waiting: list[weakref.ref[asyncio.Future[None]]], ended: asyncio.Event
) -> None:
    """Wait for something that only the one who waits holds, as asyncio's streams do."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.append(weakref.ref(waiter))
    await waiter
    ended.set()


async def _go_on(work: Any) -> None:
    """Swallow a cancellation, as some drivers do, and go on with *work*."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await work


async def _wake(waiting: list[weakref.ref[asyncio.Future[None]]]) -> None:
    (reference,) = waiting
    waiter = reference()
    assert waiter is not None, "the work was collected before it ended"
    waiter.set_result(None)
