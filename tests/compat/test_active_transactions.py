"""``databases.core._ACTIVE_TRANSACTIONS``: what runs, as seen by each task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import MutableMapping
from typing import Any

import pytest

from databases import Database
from databases.core import _ACTIVE_TRANSACTIONS, Transaction
from databases.interfaces import TransactionBackend
from tests.conftest import MakeDatabase


def _running() -> dict[Any, Any]:
    return dict(_ACTIVE_TRANSACTIONS.get() or {})


def test_it_is_none_at_first() -> None:
    assert contextvars.Context().run(_ACTIVE_TRANSACTIONS.get) is None


async def test_running_transaction_is_mapped_to_its_backend(database: Database) -> None:
    async with database.transaction() as transaction:
        mapping = _ACTIVE_TRANSACTIONS.get()

        assert isinstance(mapping, MutableMapping)
        assert isinstance(mapping[transaction], TransactionBackend)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_entry_is_gone_after_the_end(database: Database, end: str) -> None:
    transaction = await database.transaction()
    during = _running()

    await getattr(transaction, end)()

    assert list(during) == [transaction]
    assert _running() == {}


async def test_entry_is_gone_after_an_error(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            raise ZeroDivisionError

    assert _running() == {}


async def test_nested_transactions_are_all_there(database: Database) -> None:
    async with database.transaction() as outer:
        async with database.transaction() as inner:
            assert set(_running()) == {outer, inner}
        assert set(_running()) == {outer}


async def test_addition_replaces_the_mapping(database: Database) -> None:
    async with database.transaction() as outer:
        before = _ACTIVE_TRANSACTIONS.get()
        assert before is not None
        async with database.transaction():
            assert _ACTIVE_TRANSACTIONS.get() is not before
            assert set(before) == {outer}


async def test_mapping_does_not_keep_transactions_alive(database: Database) -> None:
    async with database.transaction():
        mapping = _ACTIVE_TRANSACTIONS.get()
        assert mapping is not None
        stray = Transaction(database.connection, force_rollback=False)
        mapping[stray] = next(iter(mapping.values()))
        reference = weakref.ref(stray)
        assert len(mapping) == 2

        del stray
        gc.collect()

        assert reference() is None
        assert len(mapping) == 1


async def test_child_task_inherits_what_ran_when_it_was_started(database: Database) -> None:
    async def child() -> set[Any]:
        return set(_running())

    async with database.transaction() as transaction:
        task = asyncio.create_task(child())

        assert await task == {transaction}


async def test_child_task_does_not_see_what_comes_later(database: Database) -> None:
    looked, started = asyncio.Event(), asyncio.Event()

    async def child() -> set[Any]:
        looked.set()
        await started.wait()
        return set(_running())

    async with database.transaction() as early:
        task = asyncio.create_task(child())
        await looked.wait()
        async with database.transaction():
            started.set()
            seen = await task

    assert seen == {early}


async def test_child_task_does_not_disturb_its_parent(make_database: MakeDatabase) -> None:
    database = make_database()
    await database.connect()

    async def child() -> int:
        async with database.transaction(force_rollback=True):
            await database.fetch_val("SELECT 1")
            return len(_running())

    @database.transaction()
    async def decorated() -> int:
        return len(_running())

    async def decorated_child() -> int:
        return await decorated()

    if "sqlite" in str(database.url):
        assert await asyncio.create_task(child()) == 1
        assert _running() == {}
        return
    async with database.transaction() as transaction:
        inside = await asyncio.create_task(child())
        inside_decorated = await asyncio.create_task(decorated_child())

        assert set(_running()) == {transaction}

    assert (inside, inside_decorated) == (2, 2)


async def test_tasks_of_one_decorator_do_not_see_each_other(database: Database) -> None:
    seen: list[int] = []
    lock = asyncio.Lock()

    @database.transaction()
    async def work() -> None:
        await database.fetch_val("SELECT 1")
        seen.append(len(_running()))

    async def call() -> None:
        async with lock:
            await work()

    await asyncio.gather(*(call() for _ in range(5)))

    assert seen == [1] * 5
    assert _running() == {}


async def test_transactions_of_two_databases_are_kept_apart(make_database: MakeDatabase) -> None:
    first, second = make_database(), make_database()
    await first.connect()
    await second.connect()

    async with first.transaction() as one:
        async with second.transaction() as two:
            assert set(_running()) == {one, two}
            assert one._transaction is not two._transaction
        assert set(_running()) == {one}
