"""Transactions as context managers: commit, rollback, nesting."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import codes


async def insert(database: Database, *values: str) -> None:
    for code in values:
        await database.execute(codes.insert().values(code=code))


def committed(outside: Outside) -> list[str]:
    return outside.column(codes.c.code)


async def test_it_commits_at_the_end(database: Database, outside: Outside) -> None:
    async with database.transaction():
        await insert(database, "a")
        assert committed(outside) == []

    assert committed(outside) == ["a"]


async def test_it_rolls_back_on_an_exception(database: Database, outside: Outside) -> None:
    with pytest.raises(LookupError, match="body"):
        async with database.transaction():
            await insert(database, "a")
            raise LookupError("body")

    assert committed(outside) == []
    assert checked_out(database) == 0


async def test_it_rolls_back_on_cancellation(database: Database, outside: Outside) -> None:
    inserted, never = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with database.transaction():
            await insert(database, "a")
            inserted.set()
            await never.wait()

    task = asyncio.create_task(work())
    await within(inserted.wait())
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert committed(outside) == []


async def test_it_rolls_back_when_asked_to(database: Database, outside: Outside) -> None:
    async with database.transaction(force_rollback=True):
        await insert(database, "a")
        assert await database.fetch_val("SELECT count(*) FROM codes") == 1

    assert committed(outside) == []


async def test_it_gives_itself(database: Database) -> None:
    transaction = database.transaction()

    async with transaction as entered:
        assert entered is transaction


async def test_the_exception_of_the_body_is_not_replaced(
    database: Database, driver: DriverCase
) -> None:
    """A failed statement aborts the transaction; the error is still the statement's."""
    with pytest.raises(driver.integrity_error):
        async with database.transaction():
            await insert(database, "a", "a")


async def test_the_exception_of_the_body_survives_a_lost_connection(
    database: Database, driver: DriverCase
) -> None:
    """The rollback cannot work any more: that goes to the log, not to the caller."""
    with pytest.raises(LookupError, match="body"):
        async with database.connection() as connection:
            async with connection.transaction():
                raw = connection.raw_connection
                closing = raw.close()
                if closing is not None:
                    await closing
                raise LookupError("body")

    assert await database.fetch_val("SELECT 1") == 1


async def test_a_lost_connection_makes_a_commit_an_error(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(Exception):  # each driver has its own
        async with database.connection() as connection:
            async with connection.transaction():
                await insert(database, "a")
                closing = connection.raw_connection.close()
                if closing is not None:
                    await closing

    assert committed(outside) == []
    assert await database.fetch_val("SELECT 1") == 1


async def test_a_caught_error_inside_leaves_the_rest_to_commit(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.transaction():
        await insert(database, "a")
        with pytest.raises(driver.integrity_error):
            async with database.transaction():
                await insert(database, "b", "a")
        await insert(database, "c")

    assert committed(outside) == ["a", "c"]


async def test_an_inner_transaction_commits_with_the_outer_one(
    database: Database, outside: Outside
) -> None:
    async with database.transaction():
        await insert(database, "outer")
        async with database.transaction():
            await insert(database, "inner")
        assert committed(outside) == []

    assert committed(outside) == ["inner", "outer"]


async def test_an_inner_transaction_is_rolled_back_with_the_outer_one(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        async with database.transaction():
            await insert(database, "inner")

    assert committed(outside) == []


async def test_an_inner_rollback_leaves_the_outer_one(database: Database, outside: Outside) -> None:
    async with database.transaction():
        await insert(database, "before")
        async with database.transaction(force_rollback=True):
            await insert(database, "inner")
        await insert(database, "after")

    assert committed(outside) == ["after", "before"]


async def test_ten_levels_of_nesting(database: Database, outside: Outside) -> None:
    async def descend(depth: int) -> None:
        async with database.transaction(force_rollback=depth == 7):
            await insert(database, str(depth))
            if depth < 10:
                await descend(depth + 1)

    await descend(1)

    assert committed(outside) == ["1", "2", "3", "4", "5", "6"]


async def test_siblings_inside_one_transaction(database: Database, outside: Outside) -> None:
    async with database.transaction():
        for code in "abcd":
            async with database.transaction(force_rollback=code in "bd"):
                await insert(database, code)

    assert committed(outside) == ["a", "c"]


async def test_one_after_another_on_one_connection(database: Database, outside: Outside) -> None:
    async with database.connection():
        for code in "abc":
            async with database.transaction(force_rollback=code == "b"):
                await insert(database, code)

    assert committed(outside) == ["a", "c"]


async def test_connection_transaction_is_the_tasks(database: Database, outside: Outside) -> None:
    async with database.connection() as connection:
        async with connection.transaction(force_rollback=True):
            await insert(database, "a")
            assert await connection.fetch_val("SELECT count(*) FROM codes") == 1

    assert committed(outside) == []


async def test_one_object_can_be_used_again(database: Database, outside: Outside) -> None:
    transaction = database.transaction()

    async with transaction:
        await insert(database, "a")
    async with transaction:
        await insert(database, "b")

    assert committed(outside) == ["a", "b"]


async def test_the_connection_is_held_until_the_end(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        async with database.transaction():
            assert checked_out(database) == 1
            await database.fetch_val("SELECT 1")
            assert checked_out(database) == 1

        assert checked_out(database) == 0


async def test_all_verbs_take_part(database: Database, outside: Outside) -> None:
    async with database.transaction(force_rollback=True):
        await database.execute("INSERT INTO codes (code) VALUES (:code)", {"code": "a"})
        await database.execute_many(codes.insert(), [{"code": "b"}, {"code": "c"}])
        query = codes.select().order_by(codes.c.code)
        assert [row["code"] for row in await database.fetch_all(query)] == ["a", "b", "c"]
        assert [row["code"] async for row in database.iterate(query)] == ["a", "b", "c"]
        assert await database.fetch_val(query, column="code") == "a"
        one = await database.fetch_one(query)
        assert one is not None
        assert one["code"] == "a"

    assert committed(outside) == []


async def test_transactions_of_two_tasks_do_not_meet(database: Database, outside: Outside) -> None:
    first_done, second_done = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with database.transaction():
            await database.fetch_val("SELECT 1")
            first_done.set()
            await second_done.wait()
            await insert(database, "kept")

    async def drop() -> None:
        await first_done.wait()
        async with database.transaction(force_rollback=True):
            await insert(database, "dropped")
        second_done.set()

    await within(asyncio.gather(keep(), drop()))

    assert committed(outside) == ["kept"]
