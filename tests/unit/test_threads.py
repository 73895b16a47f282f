"""The thread of a SQLite connection: woken for everything, and keeping nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pathlib
import signal
import sqlite3
import sys
import threading
import weakref
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.backends.dialects.threads import Inbox, hop, send

SLOW = """\
WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 100000)
SELECT count(*) FROM counter"""

eventfd = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="the system has no eventfd")


@eventfd
def test_whatever_several_threads_put_is_got_in_each_ones_order() -> None:
    inbox = Inbox(os.eventfd(0))

    def send(number: int) -> None:
        for position in range(3000):
            inbox.put_nowait((number, position))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()

    last = Counter[int]()
    for _ in range(4 * 3000):
        number, position = inbox.get()
        assert position == last[number]
        last[number] += 1

    for sender in senders:
        sender.join()
    assert set(last.values()) == {3000}


@pytest.mark.asyncio
async def test_a_signal_does_not_end_the_thread() -> None:
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        async with Database("sqlite://") as database, database.connection() as connection:
            raw: Any = connection.raw_connection
            thread = getattr(raw, "_thread", raw)
            await hop(raw, bool)
            for _ in range(20):
                signal.pthread_kill(thread.ident, signal.SIGUSR1)
                await asyncio.sleep(0.001)
            assert await asyncio.wait_for(connection.fetch_val("SELECT 42"), 5) == 42
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert heard


class _Rows(list[int]):
    """A result that can be watched."""


@pytest.mark.asyncio
async def test_the_thread_keeps_no_result() -> None:
    rows = _Rows()
    seen = weakref.ref(rows)
    async with Database("sqlite://") as database, database.connection() as connection:
        raw: Any = connection.raw_connection
        await hop(raw, list, rows)
        del rows
        for _ in range(100):
            gc.collect()
            if seen() is None:
                break
            await asyncio.sleep(0.001)  # until the thread waits again

        assert seen() is None


@eventfd
@pytest.mark.asyncio
async def test_no_descriptor_is_left() -> None:
    async with Database("sqlite://"):
        pass  # the loop's own mailbox stays
    gc.collect()  # those of earlier loops do not
    before = _eventfds()

    for _ in range(3):
        async with Database("sqlite://") as database:
            await asyncio.gather(*(database.fetch_val("SELECT 1") for _ in range(3)))
            assert _eventfds() > before

    assert _eventfds() == before


@pytest.mark.asyncio
async def test_what_aiosqlite_itself_gives_the_thread_is_done() -> None:
    async with Database("sqlite://") as database, database.connection() as connection:
        raw: Any = connection.raw_connection
        cursor = await raw.execute("SELECT 42")
        assert await cursor.fetchone() == (42,)
        await cursor.close()
        with pytest.raises(Exception, match="no such table: nowhere"):
            await raw.execute("SELECT * FROM nowhere")
        assert await connection.fetch_val("SELECT 43") == 43


@pytest.mark.asyncio
@pytest.mark.parametrize("when", ["before", "inside"])
async def test_what_a_program_does_itself_is_inside_the_transaction(
    tmp_path: pathlib.Path, when: str
) -> None:
    """A BEGIN goes to the thread with what comes next, whoever sends that."""
    async with Database(f"sqlite:///{tmp_path}/own.db") as database:
        await database.execute("CREATE TABLE own (id INTEGER)")
        async with database.connection() as connection:
            raw: Any = connection.raw_connection if when == "before" else None
            async with connection.transaction(force_rollback=True):
                raw = raw or connection.raw_connection
                await raw.execute("INSERT INTO own VALUES (1)")
                assert raw.in_transaction
                assert await connection.fetch_val("SELECT count(*) FROM own") == 1

            assert await connection.fetch_val("SELECT count(*) FROM own") == 0


@pytest.mark.asyncio
async def test_a_first_statement_that_is_given_up_leaves_the_transaction_open(
    tmp_path: pathlib.Path,
) -> None:
    async with Database(f"sqlite:///{tmp_path}/given_up.db") as database:
        await database.execute("CREATE TABLE own (id INTEGER)")
        async with database.transaction(force_rollback=True):
            first = database.connection()._connection.fetch_all(sa.text("SELECT 1"))
            first.send(None)  # it is on its way
            with pytest.raises(asyncio.CancelledError):
                first.throw(asyncio.CancelledError())
            await database.execute("INSERT INTO own VALUES (2)")

        assert await database.fetch_val("SELECT count(*) FROM own") == 0


@pytest.mark.asyncio
async def test_other_tasks_have_their_turn_however_quick_the_thread_is() -> None:
    async with Database("sqlite://") as database, database.connection() as connection:
        raw: Any = connection.raw_connection
        for _ in range(200):
            turns: list[int] = []
            asyncio.get_running_loop().call_soon(turns.append, 1)
            await hop(raw, bool)
            assert turns

            asyncio.get_running_loop().call_soon(turns.append, 2)
            await database.fetch_one("SELECT 1")
            assert turns == [1, 2]


@pytest.mark.asyncio
async def test_an_error_goes_with_the_last_who_knows_of_it() -> None:
    async with Database("sqlite://") as database:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(sqlite3.OperationalError) as raised:
                await database.fetch_one("SELECT nothing")
            error = weakref.ref(raised.value)
            del raised
            for _ in range(1000):
                await asyncio.sleep(0.001)  # the loop's own hold on it, and the thread's
                if error() is None:
                    break
            assert error() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_the_thread_outlives_what_no_future_can_raise() -> None:
    async with Database("sqlite://") as database, database.connection() as connection:
        raw: Any = connection.raw_connection
        with pytest.raises(RuntimeError, match="StopIteration"):
            await hop(raw, next, iter(()))
        assert await connection.fetch_val("SELECT 42") == 42


@pytest.mark.asyncio
async def test_a_connection_that_a_program_closes_leaves_nothing() -> None:
    async with Database("sqlite://") as database:
        await database.fetch_val("SELECT 1")
        gc.collect()
        before = _eventfds()
        async with database.connection(new=True) as connection:
            raw: Any = connection.raw_connection
            await raw.close()
        for _ in range(100):
            if _eventfds() <= before:
                break
            await asyncio.sleep(0.01)
        assert _eventfds() <= before
        assert await database.fetch_val("SELECT 42") == 42


@eventfd
@pytest.mark.asyncio
async def test_a_loop_in_debug_mode_is_told_in_its_own_way() -> None:
    async with Database("sqlite://") as database:
        loop = asyncio.get_running_loop()
        for debug in (True, False, True):
            loop.set_debug(debug)
            assert await asyncio.wait_for(database.fetch_val("SELECT 42"), 5) == 42
            with pytest.raises(sqlite3.OperationalError):
                await asyncio.wait_for(database.fetch_val("SELECT nothing"), 5)
            slow = asyncio.ensure_future(database.fetch_val(SLOW))
            await asyncio.sleep(0)
            loop.set_debug(not debug)
            assert await asyncio.wait_for(slow, 5) == 100_000
        loop.set_debug(False)


@eventfd
@pytest.mark.asyncio
async def test_futures_that_are_written_in_python_are_ended_by_their_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As nest_asyncio makes them: between two steps of theirs, a result would be lost."""
    ended_by: list[int] = []

    class Slow(asyncio.futures._PyFuture):  # type: ignore[name-defined,misc]  # not told of
        def set_result(self, result: Any) -> None:
            ended_by.append(threading.get_ident())
            super().set_result(result)

    async with Database("sqlite://") as database:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "create_future", lambda: Slow(loop=loop))
        assert await database.fetch_val("SELECT 42") == 42
        monkeypatch.undo()

    assert ended_by
    assert set(ended_by) == {threading.get_ident()}


def test_loops_in_two_threads_hear_of_all_that_is_theirs() -> None:
    """However often Python changes between threads, and whoever else waits for a result."""
    answers = Counter[str]()

    async def ask(database: Database, number: int) -> None:
        async with database.connection() as connection:
            raw: Any = connection.raw_connection
            future = send(raw, int, number)
            future.add_done_callback(lambda _: None)
            assert await future == number
            assert await connection.fetch_val("SELECT :number", {"number": number}) == number
        answers["whole"] += 1

    async def work() -> None:
        async with Database("sqlite://") as database:
            for first in range(0, 400, 20):
                tasks = [asyncio.ensure_future(ask(database, first + one)) for one in range(20)]
                for late, task in enumerate(tasks[::3]):
                    asyncio.get_running_loop().call_later(late * 0.0002, task.cancel)
                _, pending = await asyncio.wait(tasks, timeout=10)
                assert not pending
                for task in tasks:
                    assert task.cancelled() or task.exception() is None
            answers["ends"] += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        loops = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(2)]
        for loop in loops:
            loop.start()
        for loop in loops:
            loop.join()
    finally:
        sys.setswitchinterval(before)

    assert answers["ends"] == 2
    assert answers["whole"] > 400


def _eventfds() -> int:
    return sum("[eventfd]" in target for target in _open_files())


def _open_files() -> list[str]:
    targets = []
    for link in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own, closed by now
            targets.append(str(link.readlink()))
    return targets


@pytest.mark.asyncio
@pytest.mark.parametrize("query", ["SELECT 1; SELECT nothing FROM nowhere", "SELECT json('{')"])
async def test_an_error_that_is_kept_keeps_no_file_open(tmp_path: pathlib.Path, query: str) -> None:
    path = tmp_path / "kept.db"
    async with Database(f"sqlite:///{path}") as database:
        with pytest.raises(sqlite3.OperationalError) as kept:
            await database.execute(query)

    assert kept.value.__traceback__ is not None
    assert not [link for link in _open_files() if link == str(path)]


def test_what_a_loop_had_no_time_to_close_is_closed_by_the_next(tmp_path: pathlib.Path) -> None:
    """Without connect() a connection is closed after its query, by a task that comes later."""
    path = tmp_path / "left.db"
    database = Database(f"sqlite:///{path}")
    for _ in range(3):
        with contextlib.closing(asyncio.SelectorEventLoop()) as loop:
            assert loop.run_until_complete(database.fetch_val("SELECT 42")) == 42
    gc.collect()

    async def wait() -> None:
        assert await database.fetch_val("SELECT 43") == 43
        for _ in range(200):
            if str(path) not in _open_files():
                break
            await asyncio.sleep(0.01)

    asyncio.run(wait())
    assert str(path) not in _open_files()


@eventfd
def test_an_interrupted_loop_hears_of_what_comes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C may come as soon as the loop has read that there is something."""
    read, main = os.eventfd_read, threading.current_thread()
    interrupts: list[BaseException] = []

    def interrupted(fd: int) -> int:
        value = read(fd)
        if interrupts and threading.current_thread() is main:
            raise interrupts.pop()
        return value

    monkeypatch.setattr(os, "eventfd_read", interrupted)
    with contextlib.closing(asyncio.SelectorEventLoop()) as loop:
        database = Database("sqlite://")
        loop.run_until_complete(database.connect())

        async def ask_twice() -> Any:
            await database.fetch_val(SLOW)  # so that the loop waits, and has to be told
            return await database.fetch_val("SELECT 42")

        work = loop.create_task(ask_twice())
        interrupts.append(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(work)

        assert loop.run_until_complete(asyncio.wait_for(work, 5)) == 42
        loop.run_until_complete(database.disconnect())
