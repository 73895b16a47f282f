"""Event loops one after another, threads, forks, and processes that end in the middle."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from databases import Database
from databases.errors import InterfaceError
from tests.faults.acts import texts, works, write
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.watching import patience

pytestmark = pytest.mark.law


def test_two_loops_one_after_another(outside: Outside) -> None:
    database = Database(outside.url, max_size=2)

    async def use() -> None:
        async with database:
            await works(database, outside)
            await asyncio.gather(*(database.fetch_val("SELECT 1") for _ in range(5)))

    for _ in range(3):
        asyncio.run(use())

    assert texts(outside) == ["it works"] * 3


@requires("server")
def test_another_loop_than_it_was_connected_on_is_a_clear_error(outside: Outside) -> None:
    database = Database(outside.url)

    async def ask() -> None:
        with pytest.raises(InterfaceError, match="event loop"):
            await asyncio.wait_for(database.fetch_val("SELECT 1"), 2)
        with pytest.raises(InterfaceError, match="event loop"):
            await asyncio.wait_for(begin(), 2)
        with pytest.raises(InterfaceError, match="event loop"):
            await asyncio.wait_for(read(), 2)

    async def begin() -> None:
        async with database.transaction():
            raise AssertionError

    async def read() -> None:
        async for _ in database.iterate("SELECT 1"):
            raise AssertionError

    with _Loop() as first:
        first.run(database.connect())
        with _Loop() as second:
            second.run(ask())
        # Where it belongs it goes on.
        first.run(works(database, outside))
        first.run(database.disconnect())


@requires("file")
@pytest.mark.parametrize("is_first_closed", [False, True])
def test_sqlite_serves_another_loop_than_it_was_connected_on(
    outside: Outside, *, is_first_closed: bool
) -> None:
    database = Database(outside.url)

    async def use() -> None:
        await works(database, outside)
        assert [row[0] async for row in database.iterate("SELECT 1 UNION SELECT 2")] == [1, 2]
        with pytest.raises(ZeroDivisionError):
            async with database.transaction():
                await write(database, "lost")
                raise ZeroDivisionError
        await asyncio.gather(*(database.transaction()(write)(database, "many") for _ in range(9)))
        slow = asyncio.create_task(_hold(database))
        await asyncio.sleep(0.05)
        slow.cancel()
        await asyncio.wait({slow})
        await works(database, outside)

    with _Loop() as first:
        first.run(database.connect())
        if is_first_closed:
            first.close()
        with _Loop() as second:
            second.run(use())
            second.run(use())
        if not is_first_closed:
            first.run(use())
            first.run(database.disconnect())
        else:
            asyncio.run(database.disconnect())

    rounds = 2 if is_first_closed else 3
    assert texts(outside).count("many") == 9 * rounds
    assert "lost" not in texts(outside)
    assert outside.sessions() == []


async def _hold(database: Database) -> None:
    async with database.transaction():
        await write(database, "lost")
        await asyncio.sleep(30)


def test_a_loop_that_ended_without_disconnecting(outside: Outside) -> None:
    """The next loop is told, or served; nothing hangs, and disconnecting ends it."""
    database = Database(outside.url, max_size=1)

    async def begin() -> None:
        await database.connect()
        await write(database, "first")

    async def go_on() -> None:
        await asyncio.wait_for(database.disconnect(), 5)
        await database.connect()
        await works(database, outside)
        await database.disconnect()

    with warnings.catch_warnings():
        # The drivers' own connections complain of their loop.
        warnings.simplefilter("ignore")
        asyncio.run(begin())
        asyncio.run(go_on())
        gc.collect()

    assert texts(outside) == ["first", "it works"]


def test_a_loop_whose_tasks_are_all_cancelled_at_once(outside: Outside) -> None:
    """As when a program is told to end: the tasks of the pool are cancelled too."""
    tasks: list[asyncio.Task[None]] = []
    database = Database(outside.url, max_size=2)

    async def block() -> None:
        async with database.transaction():
            if outside.case.can("server"):
                await write(database, "lost")
            await asyncio.sleep(30)

    async def main() -> None:
        async with database:
            tasks.extend(asyncio.ensure_future(block()) for _ in range(4))
            await asyncio.sleep(0.05)
            asyncio.get_running_loop().call_soon(_cancel_all)
            await asyncio.sleep(30)

    threads_before = threading.active_count()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert all(task.cancelled() for task in tasks)
    assert not database.is_connected
    _wait_until(lambda: not outside.open_transactions(), "transactions left open")
    _wait_until(lambda: not outside.sessions(), "connections left open")
    _wait_until(lambda: threading.active_count() <= threads_before, "threads left")
    assert texts(outside) == []


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def test_a_thread_with_a_loop_and_a_database_each(outside: Outside) -> None:
    failures: list[BaseException] = []

    async def use(number: int) -> None:
        async with Database(outside.url, max_size=2) as database:
            for turn in range(5):
                async with database.transaction():
                    await write(database, f"{number}.{turn}")

    def thread(number: int) -> None:
        try:
            asyncio.run(use(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert failures == []
    assert texts(outside) == [f"{n}.{t}" for n in range(4) for t in range(5)]


def test_one_database_in_several_threads_works_or_says_why_not(outside: Outside) -> None:
    answers: list[object] = []

    def thread() -> None:
        async def ask() -> None:
            answers.append(await asyncio.wait_for(database.fetch_val("SELECT 42"), 5))

        try:
            asyncio.run(ask())
        except Exception as error:
            answers.append(error)

    async def main() -> None:
        async with database:
            threads = [threading.Thread(target=thread) for _ in range(4)]
            for each in threads:
                each.start()
            while any(each.is_alive() for each in threads):
                assert await database.fetch_val("SELECT 1") == 1
                await asyncio.sleep(0.001)
            await works(database, outside)

    database = Database(outside.url, max_size=2)
    asyncio.run(main())

    assert len(answers) == 4
    for answer in answers:
        is_clear = isinstance(answer, InterfaceError) and "event loop" in str(answer)
        assert answer == 42 or is_clear, answers


@pytest.mark.filterwarnings("ignore")
def test_after_a_fork_the_child_is_told(outside: Outside, driver: DriverCase) -> None:
    """A child process that shares the parent's sockets would mix up their answers."""
    program = f"""
        import asyncio, os, sys
        import databases

        database = databases.Database({outside.url!r})
        first = asyncio.new_event_loop()
        first.run_until_complete(database.connect())
        first.run_until_complete(database.fetch_val("SELECT 1"))

        child = os.fork()
        if child == 0:
            async def ask():
                return await asyncio.wait_for(database.fetch_val("SELECT 2"), 5)

            try:
                for run in (first.run_until_complete, asyncio.run):
                    try:
                        print("child:", run(ask()))
                    except Exception as error:
                        print("child:", type(error).__name__, error)
            finally:
                sys.stdout.flush()
                os._exit(0)
        os.waitpid(child, 0)
        print("parent:", first.run_until_complete(database.fetch_val("SELECT 3")))
        first.run_until_complete(database.disconnect())
    """

    output = _run_program(program)

    *child, parent = output.splitlines()
    assert parent == "parent: 3"
    assert len(child) == 2
    for line in child:
        assert "fork" in line or "loop" in line or "process" in line, output
    assert "fork" in child[0] or "process" in child[0], output


def test_a_process_that_is_interrupted_ends(outside: Outside) -> None:
    """Ctrl-C in a query, in a transaction and while waiting: no thread keeps the process."""
    program = f"""
        import asyncio, sys
        import databases

        async def main():
            database = databases.Database({outside.url!r}, max_size=1)
            await database.connect()

            async def block():
                async with database.transaction():
                    print("ready", flush=True)
                    await asyncio.sleep(60)

            await asyncio.gather(block(), block())

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=patience(10))
        finally:
            process.kill()

    assert output == "interrupted\n"
    assert process.returncode == 0
    _wait_until(lambda: not outside.open_transactions(), "transactions left open")


def test_a_process_that_forgets_to_disconnect_ends(outside: Outside) -> None:
    program = f"""
        import asyncio
        import databases

        async def main():
            database = databases.Database({outside.url!r})
            await database.connect()
            print(await database.fetch_val("SELECT 42"), flush=True)

        asyncio.run(main())
    """

    assert _run_program(program) == "42\n"


@requires("file")
def test_a_process_that_never_connected_ends(outside: Outside) -> None:
    program = f"""
        import asyncio
        import databases

        database = databases.Database({outside.url!r})

        async def main():
            rows = database.iterate("SELECT 42 AS answer UNION SELECT 43")
            print((await rows.__anext__())["answer"], flush=True)
            transaction = await database.transaction()
            await database.execute("INSERT INTO notes (text) VALUES ('lost')")

        asyncio.run(main())
    """

    assert _run_program(program) == "42\n"
    assert texts(outside) == []


class _Loop:
    """A loop that runs one thing after another, and ends properly."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> _Loop:
        return self

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        if not self._loop.is_closed():
            self.run(self._loop.shutdown_asyncgens())
            self.run(self._loop.shutdown_default_executor())
            self._loop.close()

    def __exit__(self, *exception: object) -> None:
        self.close()


def _environment() -> dict[str, str]:
    root = str(pathlib.Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root}


def _run_program(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=patience(20),
        check=False,
        env=_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _wait_until(look: Any, what: str) -> None:
    deadline = time.monotonic() + patience(5)
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
