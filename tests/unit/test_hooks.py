"""The order of hooks and of what the driver is asked, on the fake driver."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import pytest_asyncio

from databases import Database
from databases.errors import TransactionStateError
from tests.support.fake_driver import ConnectionLost, Deadlock, FakeBackend, FakeServer, ServerError


class FakeDatabase(Database):
    SUPPORTED_BACKENDS: ClassVar = {"fake": "tests.support.fake_driver:FakeBackend"}


class Log(list[str]):
    """Steps of the driver and calls of hooks, in order."""

    def watch(self, server: FakeServer) -> None:
        step = server.step

        async def logged(raw: object, verb: str, *rest: object) -> None:
            if verb in ("begin", "commit", "rollback"):
                self.append(verb)
            await step(raw, verb, *rest)  # type: ignore[arg-type]  # passed on as they are

        server.step = logged  # type: ignore[method-assign, assignment]  # any raw


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def server(log: Log) -> FakeServer:
    FakeBackend.driver.server = server = FakeServer()
    log.watch(server)
    return server


@pytest_asyncio.fixture
async def database(server: FakeServer) -> AsyncIterator[Database]:
    database = FakeDatabase("fake://", max_size=1)
    async with database:
        yield database
    server.holds.clear()
    assert not server.open_raws


async def until_step(server: FakeServer) -> None:
    for _ in range(100):
        if not server.steps:
            await asyncio.sleep(0)
    assert server.steps


async def test_the_connection_is_free_when_hooks_run(database: Database, log: Log) -> None:
    async with database.transaction() as transaction:
        transaction.on_commit(lambda: log.append(f"in use: {database.pool_stats().in_use}"))

    assert log == ["begin", "commit", "in use: 0"]


async def test_a_commit_that_fails_is_no_commit(
    database: Database, server: FakeServer, log: Log
) -> None:
    server.holds = {"commit"}

    async def work() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: log.append("hook: committed"))
            transaction.on_rollback(lambda: log.append("hook: rolled back"))

    task = asyncio.create_task(work())
    await until_step(server)
    server.steps[0].end(ServerError("full"))
    with pytest.raises(ServerError, match="full"):
        await task

    assert log == ["begin", "commit", "hook: rolled back"]


async def test_a_cancelled_commit_is_no_commit(
    database: Database, server: FakeServer, log: Log
) -> None:
    server.holds = {"commit"}

    async def work() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: log.append("hook: committed"))
            transaction.on_rollback(lambda: log.append("hook: rolled back"))

    task = asyncio.create_task(work())
    await until_step(server)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)

    assert log[:2] == ["begin", "commit"]
    assert [entry for entry in log if "hook" in entry] == ["hook: rolled back"]


@pytest.mark.parametrize("error", [Deadlock("lost"), ConnectionLost("gone")])
async def test_a_lost_transaction_is_rolled_back(
    database: Database, server: FakeServer, log: Log, error: Exception
) -> None:
    server.holds, server.recovers = {"write"}, False

    async def work() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: log.append("hook: committed"))
            transaction.on_rollback(lambda: log.append("hook: rolled back"))
            try:
                await database.execute("INSERT INTO rows VALUES (:n)", {"n": 1})
            except type(error):
                pass

    task = asyncio.create_task(work())
    await until_step(server)
    server.steps[0].end(error)
    with pytest.raises(TransactionStateError, match="is lost"):
        await task

    assert [entry for entry in log if "hook" in entry] == ["hook: rolled back"]


async def test_open_inner_transactions_are_rolled_back_with_the_outer_one(
    database: Database, log: Log
) -> None:
    with pytest.raises(TransactionStateError, match="1 inner"):
        async with database.transaction() as outer:
            outer.on_commit(lambda: log.append("outer committed"))
            outer.on_rollback(lambda: log.append("outer rolled back"))
            inner = await database.transaction()
            inner.on_rollback(lambda: log.append("inner rolled back"))

    assert log == ["begin", "rollback", "outer rolled back", "inner rolled back"]


async def test_a_forgotten_transaction_is_rolled_back(database: Database, log: Log) -> None:
    transaction = await database.transaction()
    transaction.on_rollback(lambda: log.append("hook"))
    del transaction
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)

    assert "hook" in log


async def test_a_hook_that_is_cancelled_lets_the_others_run(database: Database, log: Log) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        async with database.transaction() as transaction:
            transaction.on_commit(cancelled)
            transaction.on_commit(lambda: log.append("hook"))

    assert log == ["begin", "commit", "hook"]


async def test_disconnect_waits_for_hooks(database: Database, log: Log) -> None:
    async def slow() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        log.append(f"connected: {database.is_connected}")

    task = asyncio.create_task(_cancelled_work(database, slow))
    await asyncio.wait({task})
    await database.disconnect()

    assert log[-1] == "connected: True"


async def _cancelled_work(database: Database, hook: object) -> None:
    async with database.transaction() as transaction:
        transaction.on_rollback(hook)  # type: ignore[arg-type]  # a function
        raise asyncio.CancelledError
