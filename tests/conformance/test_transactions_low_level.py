"""Transactions begun and ended by hand, in one task or in several."""

from __future__ import annotations

import asyncio
import gc

import pytest

import databases.core
from databases import Database
from databases.core import Transaction
from databases.errors import TransactionStateError
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.outside import Outside
from tests.support.tables import codes


async def insert(database: Database, code: str) -> None:
    await database.execute(codes.insert().values(code=code))


def committed(outside: Outside) -> list[str]:
    return outside.column(codes.c.code)


async def test_commit(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()
    await insert(database, "a")
    assert committed(outside) == []
    await transaction.commit()

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


async def test_rollback(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()
    await insert(database, "a")
    await transaction.rollback()

    assert committed(outside) == []
    assert checked_out(database) == 0


async def test_start_and_await_are_the_same(database: Database, outside: Outside) -> None:
    transaction = database.transaction()
    assert await transaction.start() is transaction
    await insert(database, "a")
    await transaction.rollback()

    assert isinstance(transaction, Transaction)
    assert committed(outside) == []


async def test_nested(database: Database, outside: Outside) -> None:
    outer = await database.transaction()
    await insert(database, "outer")
    inner = await database.transaction()
    await insert(database, "inner")
    await inner.rollback()
    await outer.commit()

    assert committed(outside) == ["outer"]


async def test_inside_a_context_manager(database: Database, outside: Outside) -> None:
    async with database.transaction():
        await insert(database, "a")
        inner = await database.transaction()
        await insert(database, "b")
        await inner.rollback()

    assert committed(outside) == ["a"]


async def test_starting_it_again_begins_nothing_more(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()
    await transaction.start()
    await insert(database, "a")
    await transaction.commit()

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


async def test_starting_it_inside_its_block_begins_nothing_more(
    database: Database, outside: Outside
) -> None:
    async with database.transaction() as transaction:
        await transaction.start()
        await insert(database, "a")

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


@pytest.mark.parametrize("limit", [None, 30])
async def test_a_block_takes_over_what_was_begun_by_hand(
    database: Database, outside: Outside, limit: float | None
) -> None:
    async with await database.transaction(timeout=limit):
        await insert(database, "a")

    with pytest.raises(LookupError, match="body"):
        async with await database.transaction(timeout=limit):
            await insert(database, "b")
            raise LookupError("body")

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


async def test_it_can_start_again_once_it_has_ended(database: Database, outside: Outside) -> None:
    transaction = database.transaction()
    for code in ("a", "b"):
        await transaction.start()
        await insert(database, code)
        await transaction.commit()

    assert committed(outside) == ["a", "b"]


async def test_each_task_starts_its_own(database: Database, outside: Outside) -> None:
    transaction = await database.transaction()

    async def commit() -> None:
        await transaction.start()
        await insert(database, "a")
        await transaction.commit()

    await asyncio.create_task(commit())
    await transaction.rollback()

    assert committed(outside) == ["a"]


@pytest.mark.parametrize("first", ["commit", "rollback"])
@pytest.mark.parametrize("second", ["commit", "rollback"])
async def test_ending_twice_is_a_state_error(database: Database, first: str, second: str) -> None:
    transaction = await database.transaction()
    await getattr(transaction, first)()

    with pytest.raises(TransactionStateError):
        await getattr(transaction, second)()

    assert await database.fetch_val("SELECT 1") == 1
    assert checked_out(database) == 0


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_ending_what_never_began_is_a_state_error(database: Database, end: str) -> None:
    transaction = database.transaction()

    with pytest.raises(TransactionStateError):
        await getattr(transaction, end)()


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_ending_the_outer_one_first_is_a_state_error(
    database: Database, outside: Outside, end: str
) -> None:
    outer = await database.transaction()
    await insert(database, "outer")
    inner = await database.transaction()
    await insert(database, "inner")

    with pytest.raises(TransactionStateError):
        await getattr(outer, end)()

    await inner.rollback()
    await outer.commit()
    assert committed(outside) == ["outer"]


async def test_state_errors_are_assertion_errors_too(database: Database) -> None:
    transaction = await database.transaction()
    await transaction.rollback()

    with pytest.raises(AssertionError):
        await transaction.rollback()


async def test_ended_in_another_task(database: Database, outside: Outside) -> None:
    """Fixtures do this: their set-up and tear-down run in tasks of their own."""

    async def begin() -> Transaction:
        return await database.transaction()

    transaction = await asyncio.create_task(begin())
    await asyncio.create_task(transaction.rollback())

    assert checked_out(database) == 0
    assert await within(database.fetch_val("SELECT 1")) == 1


async def test_used_here_and_committed_in_another_task(
    database: Database, outside: Outside
) -> None:
    transaction = await database.transaction()
    await insert(database, "a")

    await asyncio.create_task(transaction.commit())

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


async def test_many_begun_in_one_task_each_and_ended_in_another(
    make_database: MakeDatabase,
) -> None:
    async with make_database() as database:

        async def begin() -> Transaction:
            return await database.transaction()

        begun = await asyncio.gather(*(begin() for _ in range(5)))
        assert checked_out(database) == 5
        await within(asyncio.gather(*(transaction.rollback() for transaction in begun)))

        assert checked_out(database) == 0


async def test_active_transactions_are_forgotten_after_their_end(database: Database) -> None:
    transaction = await database.transaction()
    active = databases.core._ACTIVE_TRANSACTIONS.get()
    assert active is not None
    assert transaction in active

    await transaction.rollback()

    active = databases.core._ACTIVE_TRANSACTIONS.get()
    assert not active


async def test_a_child_task_inherits_what_ran_when_it_was_started(database: Database) -> None:
    async def look() -> bool:
        active = databases.core._ACTIVE_TRANSACTIONS.get()
        return active is not None and transaction in active

    transaction = await database.transaction()
    before = asyncio.create_task(look())
    assert await before

    await transaction.rollback()
    assert not await asyncio.create_task(look())


async def test_a_child_task_neither_sees_nor_disturbs_what_comes_later(database: Database) -> None:
    started, may_look = asyncio.Event(), asyncio.Event()

    async def child() -> int:
        started.set()
        await may_look.wait()
        seen = len(databases.core._ACTIVE_TRANSACTIONS.get() or ())
        async with database.transaction():
            pass
        return seen

    task = asyncio.create_task(child())
    await started.wait()
    async with database.connection():
        transaction = await database.transaction()
        may_look.set()
        assert await within(task) == 0
        active = databases.core._ACTIVE_TRANSACTIONS.get()
        assert active is not None
        assert list(active) == [transaction]
        await transaction.rollback()


async def test_active_transactions_do_not_keep_a_transaction_alive(database: Database) -> None:
    async with database.transaction():
        pass
    gc.collect()

    active = databases.core._ACTIVE_TRANSACTIONS.get()
    assert not active
