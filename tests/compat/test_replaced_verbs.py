"""``start``, ``commit`` and ``rollback`` of a transaction, replaced by a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from databases import Database
from databases.core import Transaction
from tests.faults.acts import texts, write
from tests.support.outside import Outside

Told = Callable[..., Transaction]


class Failed(Exception):
    """What a block or a verb raises here."""


def told_by_object(database: Database, log: list[str], **options: Any) -> Transaction:
    """Return a transaction whose own attributes are replaced."""
    transaction: Any = database.transaction(**options)

    def replace(verb: str) -> None:
        own = getattr(transaction, verb)

        async def replaced() -> Any:
            log.append(verb)
            return await own()

        setattr(transaction, verb, replaced)

    for verb in ("start", "commit", "rollback"):
        replace(verb)
    return transaction  # type: ignore[no-any-return]


def told_by_class(database: Database, log: list[str], **options: Any) -> Transaction:
    """Return a transaction of a derived class."""

    class Derived(Transaction):
        async def start(self) -> Transaction:
            log.append("start")
            return await super().start()

        async def commit(self) -> None:
            log.append("commit")
            await super().commit()

        async def rollback(self) -> None:
            log.append("rollback")
            await super().rollback()

    return Derived(database.connection, options.pop("force_rollback", False), **options)


@pytest.fixture(params=[told_by_object, told_by_class], ids=["object", "class"])
def told(request: pytest.FixtureRequest) -> Told:
    """Give what makes a transaction that logs its verbs."""
    made: Told = request.param
    return made


async def test_a_block_calls_them(database: Database, outside: Outside, told: Told) -> None:
    log: list[str] = []

    async with told(database, log):
        await write(database, "kept")
    with pytest.raises(Failed):
        async with told(database, log):
            await write(database, "lost")
            raise Failed
    async with told(database, log, force_rollback=True):
        await write(database, "lost")

    assert log == ["start", "commit", "start", "rollback", "start", "rollback"]
    assert texts(outside) == ["kept"]


async def test_a_decorator_calls_them(database: Database, outside: Outside, told: Told) -> None:
    log: list[str] = []

    @told(database, log)
    async def work(text: str) -> None:
        await write(database, text)
        if text == "lost":
            raise Failed

    await work("kept")
    with pytest.raises(Failed):
        await work("lost")
    await asyncio.gather(*(work(f"kept {number}") for number in range(5)))

    assert sorted(log) == ["commit"] * 6 + ["rollback"] + ["start"] * 7
    assert sorted(texts(outside)) == ["kept", *(f"kept {number}" for number in range(5))]


async def test_a_cancelled_block_calls_rollback(
    database: Database, outside: Outside, told: Told
) -> None:
    log: list[str] = []

    async def work() -> None:
        async with told(database, log):
            await write(database, "lost")
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert log == ["start", "rollback"]
    assert await database.fetch_val("SELECT 1") == 1
    assert texts(outside) == []


async def test_with_a_time_limit(database: Database, outside: Outside, told: Told) -> None:
    log: list[str] = []

    async with told(database, log, timeout=5):
        await write(database, "kept")
    with pytest.raises(TimeoutError):
        async with told(database, log, timeout=0.05):
            await write(database, "lost")
            await asyncio.sleep(30)

    assert log == ["start", "commit", "start", "rollback"]
    assert texts(outside) == ["kept"]


async def test_ended_by_hand_inside_the_block(
    database: Database, outside: Outside, told: Told
) -> None:
    log: list[str] = []

    async with told(database, log) as transaction:
        await write(database, "lost")
        await transaction.rollback()
    await write(database, "kept")

    assert log == ["start", "rollback"]
    assert texts(outside) == ["kept"]


async def test_a_commit_that_is_made_to_fail(database: Database, outside: Outside) -> None:
    with mock.patch("databases.core.Transaction.commit", side_effect=Failed):
        with pytest.raises(Failed):
            async with database.transaction():
                await write(database, "lost")

        assert await database.fetch_val("SELECT 1") == 1
    async with database.transaction():
        await write(database, "kept")

    assert texts(outside) == ["kept"]


async def test_a_rollback_that_is_made_to_fail(database: Database, outside: Outside) -> None:
    with mock.patch("databases.core.Transaction.rollback", side_effect=RuntimeError):
        with pytest.raises(Failed):
            async with database.transaction():
                await write(database, "lost")
                raise Failed

        assert await database.fetch_val("SELECT 1") == 1

    assert texts(outside) == []


async def test_transactions_that_are_mocked(database: Database, outside: Outside) -> None:
    with (
        mock.patch("databases.core.Transaction.start") as start,
        mock.patch("databases.core.Transaction.commit") as commit,
        mock.patch("databases.core.Transaction.rollback") as rollback,
    ):
        async with database.transaction():
            await write(database, "at once")
        with pytest.raises(Failed):
            async with database.transaction():
                raise Failed

    assert (start.await_count, commit.await_count, rollback.await_count) == (2, 1, 1)
    assert texts(outside) == ["at once"]
