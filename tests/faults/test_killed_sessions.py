"""The server ends sessions: errors surface, nothing is half done, the database goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from databases import Database
from databases.backends.common import pool
from tests.conftest import MakeDatabase
from tests.faults.acts import (
    end_sessions,
    ends_in_time,
    has_places,
    running,
    slow_query,
    texts,
    until,
    until_not,
    works,
    write,
)
from tests.faults.operations import INSERT, MANY_ROWS, NUMBERS
from tests.support.drivers import DriverCase, requires
from tests.support.network import Network
from tests.support.outside import Outside
from tests.support.watching import sockets, wait_for_news

pytestmark = [requires("server"), pytest.mark.fault]


def lost(driver: DriverCase) -> tuple[type[BaseException], ...]:
    """Give what a driver may raise on a connection that is gone."""
    if driver.name == "asyncpg":
        # "connection is closed": its own, but no error of the server's.
        return (driver.error, OSError, asyncpg.InterfaceError)
    return (driver.error, OSError)


async def failed(query: asyncio.Task[Any], driver: DriverCase) -> None:
    """Wait until *query* has failed, as it does when the connection is gone."""
    async with ends_in_time(5, "the query"):
        await asyncio.wait({query}, timeout=10)
    with pytest.raises(lost(driver)):
        query.result()


async def ended(outside: Outside) -> None:
    """End all sessions, wait until the server has done so and the news is here."""
    assert end_sessions(outside)
    await until_not(outside.sessions, "sessions that should be ended")
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("idle", [None, 0.01, 0.1], ids=["at_once", "soon", "after_a_while"])
async def test_ended_while_idle(
    make_database: MakeDatabase,
    outside: Outside,
    idle: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "PING_AFTER", 0.05)
    database = make_database()
    others = sockets()
    await database.connect()
    assert await database.fetch_val("SELECT 1") == 1
    end_sessions(outside)
    while outside.sessions():
        pass
    wait_for_news(sockets() - others)
    if idle is not None:
        await asyncio.sleep(idle)
    else:
        of_database: Any = database
        for slot in of_database._backend._pool._idle:
            # As after a quick query, and no server ends a session sooner.
            slot.is_unheard, slot.since = False, time.monotonic() - 0.0003

    assert await database.fetch_val("SELECT 1") == 1
    await works(database, outside)


async def test_several_ended_while_idle(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database(max_size=4)
    await database.connect()
    await has_places(database, 4)

    await ended(outside)

    await has_places(database, 4)
    await works(database, outside)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let the numbers of new sockets be larger than ``select()`` can take."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("fewer than 1200 descriptors are allowed here")
    with contextlib.ExitStack() as stack:
        for _ in range(1050):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield


@pytest.mark.usefixtures("many_descriptors")
async def test_ended_in_a_process_with_many_descriptors(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    query = asyncio.create_task(database.fetch_val(slow_query(driver)))
    await until(lambda: running(outside, "sleep" if driver.can("casts") else "SLEEP"), "the query")

    await ended(outside)

    await failed(query, driver)
    await works(database, outside)


async def test_ended_while_idle_and_a_transaction_comes(
    database: Database, outside: Outside
) -> None:
    await ended(outside)

    async with database.transaction():
        await write(database, "unseen")

    assert texts(outside) == ["unseen"]


async def test_ended_while_idle_and_a_stream_comes(database: Database, outside: Outside) -> None:
    await ended(outside)

    rows = [row["n"] async for row in database.iterate(NUMBERS, {"last": 3})]

    assert rows == [1, 2, 3]


async def test_ended_during_a_query(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    query = asyncio.create_task(database.fetch_val(slow_query(driver)))
    await until(lambda: running(outside, "sleep" if driver.can("casts") else "SLEEP"), "the query")

    await ended(outside)

    await failed(query, driver)
    await works(database, outside)


async def test_a_write_whose_session_ended_is_not_sent_again(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    insert = driver.text(
        postgresql="INSERT INTO notes (text) SELECT 'slow' FROM pg_sleep(30)",
        mysql="INSERT INTO notes (text) SELECT 'slow' FROM (SELECT SLEEP(30)) AS nap",
        sqlite="",
    )
    writing = asyncio.create_task(database.execute(insert))
    await until(lambda: running(outside, "INSERT INTO notes"), "the insert")

    await ended(outside)

    with pytest.raises(lost(driver)):
        await asyncio.wait_for(writing, 5)
    await works(database, outside)
    assert not running(outside, "INSERT INTO notes")
    assert texts(outside) == ["it works"]


async def test_ended_in_a_transaction(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()

    with pytest.raises(lost(driver)):
        async with database.transaction():
            await write(database, "lost")
            await ended(outside)
            await write(database, "after")

    assert texts(outside) == []
    await works(database, outside)


async def test_ended_in_a_transaction_that_goes_on_regardless(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    statements = 0

    with pytest.raises(Exception) as raised:
        async with database.transaction():
            await write(database, "lost")
            await ended(outside)
            for _ in range(3):
                with pytest.raises(Exception):
                    await write(database, "after")
                statements += 1

    assert statements == 3
    assert not isinstance(raised.value, asyncio.TimeoutError)
    assert texts(outside) == []
    await works(database, outside)


@pytest.mark.parametrize("catches", [False, True], ids=["error_passes", "error_is_caught"])
async def test_ended_in_a_nested_transaction(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase, catches: bool
) -> None:
    database = make_database(max_size=1)
    await database.connect()

    async def inner() -> None:
        async with database.transaction():
            await write(database, "inner")
            await ended(outside)
            await write(database, "inner again")

    with pytest.raises(lost(driver) if not catches else Exception):
        async with database.transaction():
            await write(database, "outer")
            if catches:
                with pytest.raises(lost(driver)):
                    await inner()
                await write(database, "outer again")
            else:
                await inner()

    assert texts(outside) == []
    await works(database, outside)


async def test_ended_before_commit(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()

    with pytest.raises(lost(driver)):
        async with database.transaction():
            await write(database, "lost")
            await ended(outside)

    assert texts(outside) == []
    await works(database, outside)


async def test_ended_before_rollback(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database(max_size=1)
    await database.connect()

    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            await write(database, "lost")
            await ended(outside)
            raise ZeroDivisionError

    assert texts(outside) == []
    await works(database, outside)


async def test_ended_before_the_end_of_a_low_level_transaction(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    transaction = await database.transaction()
    await write(database, "lost")
    await ended(outside)

    with pytest.raises(lost(driver)):
        await transaction.commit()

    assert texts(outside) == []
    await works(database, outside)


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_transaction"])
async def test_ended_while_iterating(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase, inside: bool
) -> None:
    # More rows than a socket's buffers hold, or MySQL's have all been sent.
    padded = f"SELECT n, repeat('x', 20000) AS padding FROM ({NUMBERS}) AS numbers"
    database = make_database(max_size=1)
    await database.connect()
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for row in database.iterate(padded, {"last": MANY_ROWS + 400}):
            seen += 1
            assert row["n"] == seen
            if seen == 10:
                await ended(outside)

    async def read_inside() -> None:
        async with database.transaction():
            await read()

    with pytest.raises(lost(driver)):
        await asyncio.wait_for(read_inside() if inside else read(), 10)

    assert seen >= 10
    await works(database, outside)


async def test_ended_at_random_under_load(make_database: MakeDatabase, outside: Outside) -> None:
    database = make_database(max_size=3)
    await database.connect()
    acknowledged: list[str] = []

    # Which error a driver has for a session that ends under its hands is its
    # own affair.
    async def work(number: int) -> None:
        for turn in range(8):
            text = f"{number}.{turn}"
            try:
                async with database.transaction():
                    await write(database, text)
                    await asyncio.sleep(0.002)
            except Exception:
                continue
            acknowledged.append(text)

    async def trouble() -> None:
        for _ in range(6):
            await asyncio.sleep(0.02)
            end_sessions(outside)

    await asyncio.wait_for(asyncio.gather(trouble(), *(work(number) for number in range(6))), 30)

    assert acknowledged
    assert set(acknowledged) <= set(texts(outside))
    await has_places(database, 3)
    await works(database, outside)


LAST_WORDS = ["fetch_one", "fetch_all", "fetch_val", "execute", "many", "stream", "block", "begin"]


@pytest.mark.parametrize("use", LAST_WORDS)
async def test_ended_while_idle_and_only_the_last_words_came(
    make_database: MakeDatabase, far_url: str, outside: Outside, network: Network, use: str
) -> None:
    """The server has said that it ends the session, and its close has not arrived yet."""
    database = make_database(far_url, min_size=2, max_size=2, cleanup_timeout=0.2)
    await database.connect()
    await has_places(database, 2)
    network.hide_ends()
    heard = network.bytes_seen
    assert end_sessions(outside) == 2
    await until_not(outside.sessions, "sessions that should be ended")
    await asyncio.sleep(0.05)  # in which the last words arrive and are read
    if network.bytes_seen == heard:
        pytest.skip("this server ends a session without a word")

    if use == "fetch_one":
        assert (await database.fetch_one("SELECT 1 AS n"))["n"] == 1  # type: ignore[index]
    elif use == "fetch_all":
        assert [row["n"] for row in await database.fetch_all("SELECT 1 AS n")] == [1]
    elif use == "fetch_val":
        assert await database.fetch_val("SELECT 1") == 1
    elif use == "execute":
        await write(database, "once")
    elif use == "many":
        await database.execute_many(INSERT, [{"text": "once", "completed": True}])
    elif use == "stream":
        assert [row["n"] async for row in database.iterate(NUMBERS, {"last": 2})] == [1, 2]
    elif use == "block":
        async with database.connection() as connection:
            assert len(await connection.fetch_all("SELECT 1")) == 1
            await write(connection, "once")
    else:
        async with database.transaction():
            await write(database, "once")

    assert texts(outside) == (["once"] if use in ("execute", "many", "block", "begin") else [])
    await works(database, outside)


async def test_ended_while_held_and_idle(make_database: MakeDatabase, outside: Outside) -> None:
    """It is given back just now, but has been dead for a while: the next one sees that."""
    async with make_database(max_size=1) as database:
        for _ in range(3):
            async with database.connection() as connection:
                assert await connection.fetch_val("SELECT 1") == 1
                end_sessions(outside)
                await until_not(outside.sessions, "the session lives")
                await asyncio.sleep(0.05)
            assert await database.fetch_val("SELECT 2") == 2
