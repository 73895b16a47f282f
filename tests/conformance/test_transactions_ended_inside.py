"""A transaction that is committed or rolled back inside its own block."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from databases.errors import TransactionStateError
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import codes

ENDS = {"commit": ["a"], "rollback": []}

either_end = pytest.mark.parametrize("end", ENDS)


async def insert(database: Database, code: str) -> None:
    await database.execute(codes.insert().values(code=code))


def committed(outside: Outside) -> list[str]:
    return outside.column(codes.c.code)


@either_end
async def test_the_block_ends_quietly(database: Database, outside: Outside, end: str) -> None:
    async with database.transaction() as transaction:
        await insert(database, "a")
        await getattr(transaction, end)()

    assert committed(outside) == ENDS[end]
    assert checked_out(database) == 0


@either_end
async def test_an_exception_after_it_is_not_hidden(
    database: Database, outside: Outside, end: str
) -> None:
    with pytest.raises(LookupError, match="body"):
        async with database.transaction() as transaction:
            await insert(database, "a")
            await getattr(transaction, end)()
            raise LookupError("body")

    assert committed(outside) == ENDS[end]
    assert checked_out(database) == 0


@either_end
async def test_ending_it_twice_inside_is_a_state_error(database: Database, end: str) -> None:
    async with database.transaction() as transaction:
        await transaction.rollback()
        with pytest.raises(TransactionStateError):
            await getattr(transaction, end)()

    assert checked_out(database) == 0


@either_end
async def test_a_savepoint_ends_alone(database: Database, outside: Outside, end: str) -> None:
    async with database.transaction():
        async with database.transaction() as inner:
            await insert(database, "a")
            await getattr(inner, end)()
        await insert(database, "b")

    assert committed(outside) == [*ENDS[end], "b"]


@either_end
async def test_another_task_may_end_it(database: Database, outside: Outside, end: str) -> None:
    async with database.transaction() as transaction:
        await insert(database, "a")
        await asyncio.create_task(getattr(transaction, end)())

    assert committed(outside) == ENDS[end]
    assert checked_out(database) == 0


async def test_it_may_begin_again_in_the_same_block(database: Database, outside: Outside) -> None:
    async with database.transaction() as transaction:
        await insert(database, "a")
        await transaction.rollback()
        async with transaction:
            await insert(database, "b")
        async with database.transaction():
            await insert(database, "c")

    assert committed(outside) == ["b", "c"]
    assert checked_out(database) == 0


async def test_one_object_for_both_levels(database: Database, outside: Outside) -> None:
    transaction = database.transaction()

    async with transaction:
        await insert(database, "a")
        async with transaction:
            await insert(database, "b")
            await transaction.rollback()
        await insert(database, "c")

    assert committed(outside) == ["a", "c"]


async def test_one_object_for_several_tasks(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database()
    await database.connect()
    transaction = database.transaction()
    ended, left = asyncio.Event(), asyncio.Event()

    async def roll_back() -> None:
        async with transaction:
            await database.fetch_val("SELECT 1")
            await transaction.rollback()
            ended.set()
            await left.wait()

    async def commit() -> None:
        await ended.wait()
        async with transaction:
            await insert(database, "a")
        left.set()

    await within(asyncio.gather(roll_back(), commit()))

    assert committed(outside) == ["a"]
    assert checked_out(database) == 0


async def test_the_block_cannot_be_left_twice(database: Database) -> None:
    transaction = database.transaction()
    async with transaction:
        await transaction.rollback()

    with pytest.raises(TransactionStateError):
        await transaction.__aexit__(None, None, None)


@either_end
async def test_its_time_limit_ends_with_the_block(database: Database, end: str) -> None:
    loop = asyncio.get_running_loop()

    async with database.transaction(timeout=0.05) as transaction:
        await getattr(transaction, end)()
    over = loop.create_future()
    loop.call_later(0.1, over.set_result, None)

    await over


@requires("deferrable")
async def test_a_commit_that_kept_nothing_is_not_hidden(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(TransactionStateError, match="cannot commit"):
        async with database.transaction() as transaction:
            await insert(database, "a")
            with pytest.raises(Exception, match="nowhere"):
                await database.execute("SELECT * FROM nowhere")
            await transaction.commit()

    assert committed(outside) == []
    assert checked_out(database) == 0
