"""`force_rollback`: one connection for all tasks, and nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from databases import Database, stack
from databases.core import Transaction
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.outside import Outside
from tests.support.tables import codes, notes


async def insert(database: Database, code: str) -> None:
    await database.execute(codes.insert().values(code=code))


async def count(database: Database) -> int:
    found: int = await database.fetch_val("SELECT count(*) FROM codes")
    return found


async def test_nothing_stays_after_disconnect(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database(force_rollback=True) as database:
        await insert(database, "a")
        async with database.transaction():
            await insert(database, "b")
        assert await count(database) == 2

    assert outside.count(codes) == 0


async def test_context_manager_on_a_database_made_without(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database()
    with database.force_rollback():
        await database.connect()
        await insert(database, "rolled back")
        assert await count(database) == 1
        await database.disconnect()
    assert outside.count(codes) == 0

    async with database:
        await insert(database, "kept")

    assert outside.column(codes.c.code) == ["kept"]


async def test_context_manager_counts_when_connecting(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """The flag is read by connect(): leaving the block before disconnect() changes nothing."""
    database = make_database()
    with database.force_rollback():
        await database.connect()
    await insert(database, "a")
    await database.disconnect()

    assert outside.count(codes) == 0


async def test_context_manager_gives_the_flag_back(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(force_rollback=True)
    with database.force_rollback(), pytest.raises(LookupError):
        raise LookupError

    async with database:
        await insert(database, "a")

    assert outside.count(codes) == 0


async def test_it_can_connect_again_and_again(
    make_database: MakeDatabase, outside: Outside
) -> None:
    database = make_database(force_rollback=True)

    for _ in range(3):
        async with database:
            assert await count(database) == 0
            await insert(database, "a")

    assert outside.count(codes) == 0


async def test_all_tasks_share_one_connection(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:

        async def look() -> int:
            async with database.connection():
                return await count(database)

        await insert(database, "a")

        assert await within(asyncio.gather(*(look() for _ in range(10)))) == [1] * 10


async def test_connect_use_and_disconnect_in_tasks_of_their_own(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """What pytest-asyncio does with fixtures."""
    database = make_database(force_rollback=True)

    await asyncio.create_task(database.connect())
    await asyncio.create_task(insert(database, "a"))
    assert await asyncio.create_task(count(database)) == 1
    await within(asyncio.create_task(database.disconnect()))

    assert outside.count(codes) == 0


async def test_transactions_of_the_user_nest_in_it(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database(force_rollback=True) as database:
        async with database.transaction():
            await insert(database, "a")
            async with database.transaction(force_rollback=True):
                await insert(database, "b")
        with pytest.raises(LookupError):
            async with database.transaction():
                await insert(database, "c")
                raise LookupError

        assert await count(database) == 1

    assert outside.count(codes) == 0


async def test_transactions_of_a_child_task_nest_in_its_parents(
    make_database: MakeDatabase,
) -> None:
    """A middleware runs the handler in a child task while the test holds a transaction."""
    async with make_database(force_rollback=True) as database:

        async def handler() -> None:
            async with database.transaction():
                await insert(database, "handler")

        async with database.transaction(force_rollback=True):
            await insert(database, "test")
            await within(asyncio.create_task(handler()))
            assert await count(database) == 2

        assert await count(database) == 0


async def test_a_child_task_of_a_child_task_nests_too(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:

        async def descend(depth: int) -> None:
            async with database.transaction():
                await insert(database, str(depth))
                if depth < 4:
                    await asyncio.create_task(descend(depth + 1))

        await within(asyncio.create_task(descend(1)))

        assert await count(database) == 4


async def test_transactions_of_siblings_take_turns(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:
        events: list[str] = []
        first_is_in, first_may_end = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with database.transaction(force_rollback=True):
                events.append("first begins")
                await insert(database, "first")
                first_is_in.set()
                await first_may_end.wait()
                events.append("first ends")

        async def second() -> None:
            await first_is_in.wait()
            first_may_end.set()
            async with database.transaction():
                events.append("second begins")
                assert await count(database) == 0
                await insert(database, "second")

        await within(asyncio.gather(first(), second()))

        assert events == ["first begins", "first ends", "second begins"]
        assert await database.fetch_val("SELECT code FROM codes") == "second"


async def test_a_sibling_that_waits_for_long_says_for_whom(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stack, "WARN_AFTER", 0.05)
    database = make_database(force_rollback=True)
    await database.connect()

    async def begin() -> None:
        async with database.transaction():
            pass

    begun = asyncio.Event()
    worker = asyncio.create_task(_after(begun, begin()))
    async with database.transaction():
        begun.set()
        await asyncio.sleep(0.2)
    await worker

    assert "a transaction has waited 0.05 s for the one that task 'Task-" in caplog.text


async def _after(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    await event.wait()
    await work


async def test_many_siblings_roll_back_alone(make_database: MakeDatabase, outside: Outside) -> None:
    async with make_database(force_rollback=True) as database:

        @database.transaction()
        async def work(number: int) -> None:
            await insert(database, str(number))
            async with database.transaction():
                await database.execute(notes.insert().values(text=str(number)))
            if number % 2:
                raise LookupError

        results = await within(
            asyncio.gather(*(work(number) for number in range(30)), return_exceptions=True)
        )

        assert [result is None for result in results] == [True, False] * 15
        assert await count(database) == 15
        assert await database.fetch_val("SELECT count(*) FROM notes") == 15

    assert outside.count(codes) == 0


async def test_a_transaction_begun_in_a_task_that_has_ended_is_built_upon(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """A fixture begins it in its set-up task; test and tear-down run in others."""
    async with make_database(force_rollback=True) as database:
        transaction = database.transaction()

        async def set_up() -> None:
            await transaction.start()
            await insert(database, "set up")

        async def test() -> None:
            async with database.transaction():
                await insert(database, "test")

        async def tear_down() -> None:
            await transaction.rollback()

        await asyncio.create_task(set_up())
        await within(asyncio.create_task(test()))
        assert await count(database) == 2
        await within(asyncio.create_task(tear_down()))
        assert await count(database) == 0

    assert outside.count(codes) == 0


async def test_disconnect_hardly_waits_for_what_an_ended_task_has_left_open(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(force_rollback=True)
    kept: list[Transaction] = []

    async def begin() -> None:
        kept.append(await database.transaction())
        await insert(database, "a")

    await asyncio.create_task(database.connect())
    await asyncio.create_task(begin())
    await within(asyncio.create_task(database.disconnect()), 5)

    assert "still in use" in caplog.text
    assert "a task that has ended" in caplog.text


async def test_iterate_and_queries_in_its_loop(make_database: MakeDatabase) -> None:
    async with make_database(force_rollback=True) as database:
        await database.execute_many(codes.insert(), [{"code": str(n)} for n in range(20)])

        async for record in database.iterate(codes.select().order_by(codes.c.id)):
            await database.execute(notes.insert().values(text=record["code"]))

        assert await database.fetch_val("SELECT count(*) FROM notes") == 20


async def test_a_failed_statement_leaves_it_usable(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """In a savepoint, as an application under test has it."""
    async with make_database(force_rollback=True) as database:
        await insert(database, "a")
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            async with database.transaction():
                await insert(database, "a")

        assert await count(database) == 1

    assert outside.count(codes) == 0


async def test_the_block_does_not_touch_a_connected_database(
    make_database: MakeDatabase, outside: Outside
) -> None:
    async with make_database() as other:
        with other.force_rollback():
            pass
        await insert(other, "kept")

    assert outside.column(codes.c.code) == ["kept"]
