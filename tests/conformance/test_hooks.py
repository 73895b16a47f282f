"""on_commit and on_rollback: when they run, and what they find then."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

import pytest

from databases import Database
from databases.core import Transaction
from databases.errors import HookError, TransactionStateError
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.outside import Outside
from tests.support.tables import codes

INSERT = codes.insert()


class Diary:
    """What happened, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def note(self, entry: str) -> Callable[[], None]:
        return functools.partial(self.entries.append, entry)

    def watch(self, transaction: Transaction, name: str) -> None:
        transaction.on_commit(self.note(f"{name} committed"))
        transaction.on_rollback(self.note(f"{name} rolled back"))


@pytest.fixture
def diary() -> Diary:
    return Diary()


async def test_on_commit_runs_after_the_commit(database: Database, outside: Outside) -> None:
    found: list[list[str]] = []

    async with database.transaction() as transaction:
        await database.execute(INSERT, {"code": "a"})
        transaction.on_commit(lambda: found.append(outside.column(codes.c.code)))
        assert found == []

    assert found == [["a"]]


async def test_an_asynchronous_function_is_awaited(database: Database, outside: Outside) -> None:
    async def log() -> None:
        await database.execute(INSERT, {"code": "log"})

    async with database.transaction() as transaction:
        transaction.on_commit(log)

    assert outside.column(codes.c.code) == ["log"]


async def test_on_rollback_runs_after_an_error(database: Database, diary: Diary) -> None:
    with pytest.raises(LookupError, match="body"):
        async with database.transaction() as transaction:
            diary.watch(transaction, "it")
            raise LookupError("body")

    assert diary.entries == ["it rolled back"]


async def test_a_forced_rollback_is_one(database: Database, diary: Diary) -> None:
    async with database.transaction(force_rollback=True) as transaction:
        diary.watch(transaction, "it")

    assert diary.entries == ["it rolled back"]


@pytest.mark.parametrize("commits", [True, False])
async def test_by_hand(database: Database, diary: Diary, commits: bool) -> None:
    transaction = await database.transaction()
    diary.watch(transaction, "it")

    await (transaction.commit() if commits else transaction.rollback())

    assert diary.entries == ["it committed" if commits else "it rolled back"]


async def test_what_a_savepoint_waits_for_comes_with_the_root(
    database: Database, diary: Diary
) -> None:
    async with database.transaction() as root:
        diary.watch(root, "root")
        async with database.transaction() as inner:
            diary.watch(inner, "inner")
        root.on_commit(diary.note("last"))
        assert diary.entries == []

    assert diary.entries == ["root committed", "inner committed", "last"]


async def test_a_savepoint_that_is_rolled_back_says_so_at_once(
    database: Database, diary: Diary, outside: Outside
) -> None:
    async def log() -> None:
        await database.execute(INSERT, {"code": "log"})

    async with database.transaction() as root:
        diary.watch(root, "root")
        with pytest.raises(LookupError):
            async with database.transaction() as middle:
                middle.on_rollback(log)
                async with database.transaction() as inner:
                    diary.watch(inner, "inner")
                raise LookupError
        assert diary.entries == ["inner rolled back"]
        assert outside.column(codes.c.code) == []

    assert diary.entries == ["inner rolled back", "root committed"]
    assert outside.column(codes.c.code) == ["log"]


async def test_the_root_takes_a_committed_savepoint_back(database: Database, diary: Diary) -> None:
    async with database.transaction(force_rollback=True):
        async with database.transaction() as inner:
            diary.watch(inner, "inner")
        assert diary.entries == []

    assert diary.entries == ["inner rolled back"]


async def test_hooks_run_outside_of_the_transaction(database: Database) -> None:
    async def look() -> None:
        async with database.transaction() as another:
            another.on_commit(functools.partial(depths.append, 2))
            depths.append(len(database.connection()._transaction_stack))

    depths: list[int] = []
    async with database.transaction() as transaction:
        transaction.on_commit(look)

    assert depths == [1, 2]
    assert checked_out(database) == 0


async def test_hooks_need_no_second_connection(make_database: MakeDatabase) -> None:
    async def ask() -> None:
        answers.append(await database.fetch_val("SELECT 1"))

    answers: list[int] = []
    async with make_database(max_size=1) as database:
        async with database.connection() as connection:
            async with connection.transaction() as transaction:
                transaction.on_commit(ask)
                with pytest.raises(LookupError):
                    async with connection.transaction() as inner:
                        inner.on_rollback(ask)
                        raise LookupError

    assert answers == [1, 1]


async def test_a_hook_that_fails_keeps_the_commit_and_the_others(
    database: Database, diary: Diary, outside: Outside
) -> None:
    async def fail(error: Exception) -> None:
        await asyncio.sleep(0)
        raise error

    first, second = LookupError("first"), ValueError("second")

    with pytest.raises(HookError, match="is committed, and 2 of them raised") as caught:
        async with database.transaction() as transaction:
            await database.execute(INSERT, {"code": "a"})
            transaction.on_commit(lambda: fail(first))
            transaction.on_commit(diary.note("between"))
            transaction.on_commit(lambda: fail(second))
            transaction.on_commit(diary.note("after"))

    assert caught.value.errors == (first, second)
    assert caught.value.__cause__ is first
    assert diary.entries == ["between", "after"]
    assert outside.column(codes.c.code) == ["a"]


async def test_a_failing_on_rollback_does_not_hide_the_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("hook")

    with pytest.raises(LookupError, match="body"):
        async with database.transaction() as transaction:
            transaction.on_rollback(fail)
            raise LookupError("body")

    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"an on_rollback function failed: {fail!r}"
    ]


async def test_a_failing_on_rollback_surfaces_by_hand(database: Database) -> None:
    transaction = await database.transaction()
    transaction.on_rollback(lambda: int("x"))

    with pytest.raises(HookError, match="rolled back"):
        await transaction.rollback()


async def test_the_current_transaction_takes_a_hook(database: Database, diary: Diary) -> None:
    @database.transaction()
    async def work() -> None:
        await database.on_commit(diary.note("hook"))
        diary.entries.append("end")

    await work()

    assert diary.entries == ["end", "hook"]


async def test_outside_of_a_transaction_a_hook_runs_at_once(
    database: Database, diary: Diary
) -> None:
    async def note() -> None:
        diary.entries.append("asynchronous")

    await database.on_commit(diary.note("plain"))
    await database.on_commit(note)
    async with database.connection():
        await database.on_commit(diary.note("held"))

    assert diary.entries == ["plain", "asynchronous", "held"]


async def test_the_transaction_of_a_parent_is_not_a_childs(
    database: Database, diary: Diary
) -> None:
    """A child task has a connection of its own, and what it writes there is committed at once."""
    async with database.transaction(force_rollback=True):
        await asyncio.create_task(database.on_commit(diary.note("child")))

        assert diary.entries == ["child"]


async def test_force_rollback_of_the_database_does_not_count(
    make_database: MakeDatabase, diary: Diary
) -> None:
    """A program under test does what it does elsewhere."""
    async with make_database(force_rollback=True) as database:
        await database.on_commit(diary.note("at once"))
        async with database.transaction() as transaction:
            diary.watch(transaction, "it")
            await asyncio.create_task(database.on_commit(diary.note("child")))
            assert diary.entries == ["at once"]

        assert diary.entries == ["at once", "it committed", "child"]


async def test_siblings_on_one_connection_keep_their_hooks_apart(
    make_database: MakeDatabase, diary: Diary
) -> None:
    async def work(name: str, go_on: Awaitable[object]) -> None:
        async with database.transaction():
            await database.fetch_val("SELECT 1")
            await go_on
            await database.on_commit(diary.note(name))

    async def hurry() -> None:
        await database.on_commit(diary.note("outside"))

    async with make_database(force_rollback=True) as database:
        gate = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(work(name, asyncio.shield(gate))) for name in "ab"]
        await asyncio.sleep(0.01)
        await within(asyncio.create_task(hurry()))
        gate.set_result(None)
        await within(asyncio.gather(*tasks))

    assert diary.entries == ["outside", "a", "b"]


async def test_a_cancelled_block_does_not_wait_for_its_hooks(
    database: Database, diary: Diary
) -> None:
    async def undo() -> None:
        await gate
        diary.entries.append("undone")

    async def work() -> None:
        async with database.transaction() as transaction:
            await database.execute(INSERT, {"code": "a"})
            transaction.on_rollback(undo)
            transaction.on_commit(diary.note("never"))
            started.set_result(None)
            await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    gate, started = loop.create_future(), loop.create_future()
    task = asyncio.create_task(work())
    await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)

    gate.set_result(None)
    await database.disconnect()
    assert diary.entries == ["undone"]


async def test_a_cancelled_task_leaves_no_hook_half_done(database: Database, diary: Diary) -> None:
    async def slow() -> None:
        started.set_result(None)
        await gate
        diary.entries.append("slow")

    async def work() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(slow)
            transaction.on_commit(diary.note("next"))

    loop = asyncio.get_running_loop()
    gate, started = loop.create_future(), loop.create_future()
    task = asyncio.create_task(work())
    await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert diary.entries == []

    gate.set_result(None)
    await database.disconnect()
    assert diary.entries == ["slow", "next"]


async def test_a_time_limit_does_not_cover_the_hooks(database: Database, diary: Diary) -> None:
    async def slow() -> None:
        await asyncio.sleep(0.3)
        diary.entries.append("slow")

    async with database.transaction(timeout=0.2) as transaction:
        transaction.on_commit(slow)

    assert diary.entries == ["slow"]


async def test_a_commit_that_is_refused_calls_nothing(database: Database, diary: Diary) -> None:
    outer = await database.transaction()
    diary.watch(outer, "outer")
    inner = await database.transaction()
    with pytest.raises(TransactionStateError, match="1 inner"):
        await outer.commit()
    assert diary.entries == []

    await inner.rollback()
    await outer.commit()
    assert diary.entries == ["outer committed"]


async def test_an_ended_transaction_takes_no_hooks(database: Database) -> None:
    async with database.transaction() as transaction:
        pass

    with pytest.raises(TransactionStateError, match="has ended"):
        transaction.on_commit(print)


async def test_the_result_of_a_call_is_no_function(database: Database) -> None:
    async def work() -> None:
        pass

    async with database.transaction() as transaction:
        with pytest.raises(TypeError, match="the function itself"):
            transaction.on_commit(work())  # type: ignore[arg-type]  # the mistake
