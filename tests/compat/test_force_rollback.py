"""``force_rollback``: everything until ``disconnect()`` is undone, for all tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.outside import Outside
from tests.support.tables import accounts

INSERT = accounts.insert()


def _row(number: int) -> dict[str, int]:
    return {"id": number, "balance": number}


async def _ids(database: Database) -> list[Any]:
    query = sa.select(accounts.c.id).order_by(accounts.c.id)
    return [row[0] for row in await database.fetch_all(query)]


async def test_disconnect_rolls_back(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database(force_rollback=True)

    await database.connect()
    await database.execute(INSERT, _row(1))
    seen = await _ids(database)
    await database.disconnect()

    assert seen == [1]
    assert outside.count(accounts) == 0


async def test_committed_transactions_are_rolled_back_too(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database(force_rollback=True) as database:
        async with database.transaction():
            await database.execute(INSERT, _row(1))

        assert await _ids(database) == [1]

    assert outside.count(accounts) == 0


async def test_one_connection_serves_all_tasks(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:

        async def other() -> tuple[Any, Any]:
            await database.execute(INSERT, _row(2))
            async with database.connection() as connection:
                return connection, connection.raw_connection

        await database.execute(INSERT, _row(1))
        async with database.connection() as connection:
            theirs = await asyncio.create_task(other())

            assert theirs == (connection, connection.raw_connection)

        assert await _ids(database) == [1, 2]


async def test_database_can_be_connected_again(make_database: MakeDatabase) -> None:
    database = make_database(force_rollback=True)

    for _ in range(2):
        async with database:
            assert await _ids(database) == []
            await database.execute(INSERT, _row(1))


async def test_flag_can_be_set_for_connects_inside_a_block(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()

    with database.force_rollback():
        async with database:
            await database.execute(INSERT, _row(1))

    assert outside.count(accounts) == 0


async def test_flag_is_back_after_the_block(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database()
    with database.force_rollback():
        pass

    async with database:
        await database.execute(INSERT, _row(1))

    assert outside.column(accounts.c.id) == [1]


async def test_flag_is_back_after_an_error_in_the_block(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()
    with pytest.raises(ZeroDivisionError), database.force_rollback():
        raise ZeroDivisionError

    async with database:
        await database.execute(INSERT, _row(1))

    assert outside.column(accounts.c.id) == [1]


async def test_connect_inside_the_block_is_rolled_back_by_a_disconnect_after_it(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()

    with database.force_rollback():
        await database.connect()
    await database.execute(INSERT, _row(1))
    await database.disconnect()

    assert outside.count(accounts) == 0


async def test_global_connection_is_there_while_connected(make_database: MakeDatabase) -> None:
    database: Any = make_database(force_rollback=True)
    before = database._global_connection

    async with database:
        assert database._global_connection is database.connection()
        assert len(database._global_connection._transaction_stack) == 1

    assert before is None
    assert database._global_connection is None


async def test_global_connection_is_none_without_the_flag(database: Any) -> None:
    assert database._global_connection is None
    async with database.connection():
        assert database._global_connection is None


async def test_connect_use_and_disconnect_in_different_tasks(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(force_rollback=True)

    async def use() -> None:
        async with database.transaction():
            await database.execute(INSERT, _row(1))
        async with database.transaction(force_rollback=True):
            await database.execute(INSERT, _row(2))

    await asyncio.create_task(database.connect())
    await asyncio.create_task(use())
    seen = await asyncio.create_task(_ids(database))
    await asyncio.create_task(database.disconnect())

    assert seen == [1]
    assert outside.count(accounts) == 0


async def test_transactions_of_sibling_tasks_take_turns(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:

        async def insert(number: int) -> None:
            async with database.transaction(force_rollback=number % 2 == 0):
                await database.execute(INSERT, _row(number))
                await asyncio.sleep(0)
                assert number in await _ids(database)

        await asyncio.gather(*(insert(number) for number in range(10)))

        assert await _ids(database) == [1, 3, 5, 7, 9]


async def test_transaction_of_a_child_task_nests(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:

        async def child() -> None:
            async with database.transaction():
                await database.execute(INSERT, _row(2))

        async with database.transaction(force_rollback=True):
            await database.execute(INSERT, _row(1))
            await asyncio.create_task(child())
            assert await _ids(database) == [1, 2]

        assert await _ids(database) == []


async def test_flag_is_honoured_when_it_was_set_at_import_time(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(force_rollback=True)

    @database.transaction()
    async def insert() -> None:
        await database.execute(INSERT, _row(1))

    async with database:
        await insert()
        assert await _ids(database) == [1]

    assert outside.count(accounts) == 0
