"""Connections: one per task, counted, shared only on purpose."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from databases import Database
from databases.core import Connection
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import accounts, codes, notes


async def test_a_task_has_one_connection_while_it_uses_it(database: Database) -> None:
    async with database.connection() as outer:
        assert database.connection() is outer
        async with database.connection() as inner:
            assert inner is outer
        assert database.connection() is outer


async def test_another_task_has_another_connection(database: Database) -> None:
    async def borrow() -> object:
        async with database.connection() as connection:
            return connection.raw_connection

    async with database.connection() as mine:
        theirs = await asyncio.create_task(borrow())

        assert theirs is not mine.raw_connection


async def test_a_new_connection_is_another_one(database: Database, outside: Outside) -> None:
    async with database.transaction(force_rollback=True):
        await database.fetch_val("SELECT 1")
        async with database.connection(new=True) as second:
            assert second is not database.connection()
            assert second.raw_connection is not database.connection().raw_connection
            await second.execute(codes.insert().values(code="a"))

    assert outside.column(codes.c.code) == ["a"]
    assert checked_out(database) == 0


async def test_a_new_connection_has_transactions_of_its_own(
    database: Database, outside: Outside
) -> None:
    async with database.connection(new=True) as first, database.connection(new=True) as second:
        async with first.transaction(force_rollback=True):
            await first.fetch_val("SELECT 1")
            async with second.transaction():
                await second.execute(codes.insert().values(code="a"))

    assert outside.column(codes.c.code) == ["a"]


async def test_with_force_rollback_there_is_no_second_connection(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database(force_rollback=True) as database:
        async with database.connection(new=True) as second:
            await second.execute(codes.insert().values(code="a"))

    assert outside.column(codes.c.code) == []


async def test_a_subclass_may_override_connection_without_new(make_database: MakeDatabase) -> None:
    class Counting(Database):
        asked = 0

        def connection(self) -> Connection:  # type: ignore[override]  # as programs have it
            Counting.asked += 1
            return super().connection()

    async with Counting(make_database().url) as database:
        async with database.transaction():
            assert await database.fetch_val("SELECT 1") == 1
            await database.on_commit(lambda: None)

    assert Counting.asked >= 2


async def test_a_child_task_does_not_share_the_transaction_of_its_parent(
    database: Database, driver: DriverCase
) -> None:
    async def count() -> int:
        return len(await database.fetch_all(notes.select()))

    async with database.transaction(force_rollback=True):
        if driver.can("server"):
            await database.execute(notes.insert().values(text="mine"))

        assert await within(asyncio.create_task(count())) == 0


def test_connection_without_a_running_task_is_a_runtime_error(url: str) -> None:
    database = Database(url)

    with pytest.raises(RuntimeError):
        database.connection()


async def test_connection_is_not_a_coroutine(database: Database) -> None:
    assert not asyncio.iscoroutine(database.connection())


async def test_entering_twice_acquires_once(database: Database) -> None:
    async with database.connection() as outer:
        assert checked_out(database) == 1
        raw = outer.raw_connection
        async with database.connection() as inner:
            assert inner.raw_connection is raw
            assert checked_out(database) == 1
        assert checked_out(database) == 1
        assert await outer.fetch_val("SELECT 1") == 1

    assert checked_out(database) == 0


async def test_it_can_be_entered_and_left_by_hand(database: Database) -> None:
    connection = database.connection()
    await connection.__aenter__()
    await connection.__aenter__()
    await connection.__aexit__(None, None, None)

    assert await connection.fetch_val("SELECT 1") == 1
    assert checked_out(database) == 1

    await connection.__aexit__(None, None, None)

    assert checked_out(database) == 0


async def test_leaving_once_too_often_is_an_error(database: Database) -> None:
    connection = database.connection()
    async with connection:
        pass

    with pytest.raises(AssertionError):
        await connection.__aexit__(None, None, None)

    assert await database.fetch_val("SELECT 1") == 1


async def test_queries_acquire_and_release_by_themselves(database: Database) -> None:
    await database.fetch_val("SELECT 1")
    assert checked_out(database) == 0

    connection = database.connection()
    assert await connection.fetch_val("SELECT 2") == 2

    assert checked_out(database) == 0


async def test_the_map_entry_goes_when_the_connection_is_released(database: Database) -> None:
    async with database.connection():
        assert len(database._connection_map) == 1

    assert len(database._connection_map) == 0


async def test_the_map_entry_goes_after_an_exception(database: Database) -> None:
    with pytest.raises(LookupError, match="body"):
        async with database.connection():
            raise LookupError("body")

    assert len(database._connection_map) == 0
    assert checked_out(database) == 0


async def test_the_map_entry_goes_with_its_task(database: Database) -> None:
    async def look() -> weakref.ref[object]:
        return weakref.ref(database.connection())

    reference = await asyncio.create_task(look())
    # The loop holds the finished task for the step that it woke us in.
    await asyncio.sleep(0)
    gc.collect()

    assert len(database._connection_map) == 0
    assert reference() is None


async def test_queries_leave_no_map_entry(database: Database) -> None:
    await database.fetch_val("SELECT 1")
    async with database.transaction():
        await database.fetch_val("SELECT 1")
    [record async for record in database.iterate("SELECT 1")]

    assert len(database._connection_map) == 0


async def test_a_connection_handed_to_another_task_is_shared(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        raw = connection.raw_connection

        async def write() -> bool:
            async with connection as same:
                await same.execute(notes.insert().values(text="theirs"))
                return same.raw_connection is raw

        assert await asyncio.create_task(write())
        assert await connection.fetch_val("SELECT count(*) FROM notes") == 1

    assert outside.count(notes) == 1


async def test_queries_of_several_tasks_on_one_connection_take_turns(database: Database) -> None:
    async with database.connection() as connection:

        async def ask(number: int) -> int:
            value: int = await connection.fetch_val("SELECT :n + 0", {"n": number})
            return value

        answers = await within(asyncio.gather(*(ask(number) for number in range(100))))

    assert answers == list(range(100))


async def test_writes_of_several_tasks_on_one_connection(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        queries = (accounts.insert().values(id=key, balance=0) for key in range(50))
        await within(asyncio.gather(*(connection.execute(query) for query in queries)))

    assert outside.count(accounts) == 50


async def test_every_verb_works_on_a_connection(database: Database, outside: Outside) -> None:
    query = accounts.select().order_by(accounts.c.id)
    async with database.connection() as connection:
        await connection.execute(accounts.insert(), {"id": 1, "balance": 10})
        await connection.execute_many(accounts.insert(), [{"id": 2, "balance": 20}])

        rows = await connection.fetch_all(query)
        one = await connection.fetch_one(query)
        value = await connection.fetch_val(query, column="balance")
        iterated = [record async for record in connection.iterate(query)]

    assert [row["id"] for row in rows] == [1, 2]
    assert one == rows[0]
    assert value == 10
    assert iterated == rows
    assert outside.count(accounts) == 2


async def test_raw_connection_is_the_drivers_own(database: Database, driver: DriverCase) -> None:
    async with database.connection() as connection:
        raw = connection.raw_connection

        assert type(raw).__module__.partition(".")[0] == driver.name


async def test_raw_connection_takes_part_in_the_transaction(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        async with connection.transaction(force_rollback=True):
            raw = connection.raw_connection
            if driver.can("cursors"):
                async with raw.cursor() as cursor:
                    await cursor.execute("INSERT INTO accounts (id, balance) VALUES (1, 2)")
            else:
                await raw.execute("INSERT INTO accounts (id, balance) VALUES (1, 2)")
            assert await connection.fetch_val("SELECT count(*) FROM accounts") == 1

    assert outside.count(accounts) == 0


async def test_raw_connection_of_a_connection_not_in_use_is_an_error(database: Database) -> None:
    with pytest.raises(AssertionError, match="Connection is not acquired"):
        _ = database.connection().raw_connection


async def test_session_state_lasts_as_long_as_the_connection(
    database: Database, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TEMPORARY TABLE mine (id INTEGER)")
        await connection.execute("INSERT INTO mine (id) VALUES (5)")

        assert await connection.fetch_val("SELECT id FROM mine") == 5

        await connection.execute("DROP TABLE mine")


async def test_an_error_leaves_the_connection_usable(
    database: Database, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        with pytest.raises(driver.error):
            await connection.execute("SELECT nothing FROM nowhere")

        assert await connection.fetch_val("SELECT 1") == 1


async def test_two_databases_have_their_own_connections(make_database: MakeDatabase) -> None:
    async with make_database() as first, make_database() as second:
        async with first.connection() as left, second.connection() as right:
            assert left is not right
            assert left.raw_connection is not right.raw_connection
            assert checked_out(first) == checked_out(second) == 1
