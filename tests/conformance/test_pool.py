"""The pool: sizes, time-outs, numbers and hooks, the same on every driver."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from databases import Database
from databases.backends.common import waiting
from databases.errors import PoolTimeoutError
from tests.conftest import MakeDatabase
from tests.support.checks import until_clean, until_waiting, within
from tests.support.drivers import DriverCase, lacks, requires


async def hold(database: Database, count: int) -> None:
    """Hold *count* connections at once, then give them all back."""
    inside, everybody = 0, asyncio.Event()

    async def one() -> None:
        nonlocal inside
        async with database.connection():
            inside += 1
            if inside == count:
                everybody.set()
            await everybody.wait()

    await within(asyncio.gather(*(one() for _ in range(count))))


async def test_connect_opens_one_connection(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        stats = database.pool_stats()

    assert (stats.size, stats.idle, stats.in_use, stats.waiting) == (1, 1, 0, 0)
    assert stats.min_size == 1


@requires("server")
async def test_ten_connections_are_the_most_by_default(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        assert database.pool_stats().max_size == 10
        await hold(database, 10)
        assert database.pool_stats().size == 10


@lacks("server")
async def test_a_local_file_has_no_upper_bound_by_default(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        assert database.pool_stats().max_size is None
        await hold(database, 15)


async def test_sizes_as_keywords(make_database: MakeDatabase) -> None:
    async with make_database(min_size=2, max_size=4) as database:
        assert database.pool_stats().size == 2
        await hold(database, 4)
        assert database.pool_stats().size == 4
        assert database.pool_stats().max_size == 4


async def test_sizes_in_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?min_size=2&max_size=3") as database:
        stats = database.pool_stats()

    assert (stats.size, stats.min_size, stats.max_size) == (2, 2, 3)


async def test_keywords_win_over_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?min_size=2&max_size=3", min_size=1, max_size=2) as database:
        stats = database.pool_stats()

    assert (stats.size, stats.min_size, stats.max_size) == (1, 1, 2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"min_size": 5, "max_size": 2}, "min_size"),
        ({"min_size": -1}, "min_size"),
    ],
)
async def test_sizes_that_cannot_work_are_refused_by_name(
    make_database: MakeDatabase, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        await make_database(**options).connect()


@pytest.mark.parametrize("text", ["min_size=two", "acquire_timeout=soon"])
async def test_options_that_are_no_number_are_refused_by_name(
    make_database: MakeDatabase, url: str, text: str
) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        await make_database(f"{url}?{text}").connect()


async def test_stats_follow_what_happens(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        async with database.connection():
            waiter = asyncio.create_task(database.fetch_val("SELECT 5"))
            await until_waiting(database)
            stats = database.pool_stats()
            assert (stats.size, stats.idle, stats.in_use, stats.waiting) == (1, 0, 1, 1)

        assert await within(waiter) == 5
        stats = database.pool_stats()
        assert (stats.size, stats.in_use, stats.waiting) == (1, 0, 0)


async def test_the_connection_used_last_is_lent_first(make_database: MakeDatabase) -> None:
    async with make_database(max_size=3) as database:
        await hold(database, 3)

        async with database.connection() as connection:
            first = connection.raw_connection
        await until_clean(database)
        async with database.connection() as connection:
            assert connection.raw_connection is first


async def test_waiting_has_a_limit_when_asked_for(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1, acquire_timeout=0.05) as database:
        async with database.connection():
            waiter = asyncio.create_task(database.fetch_val("SELECT 1"))
            with pytest.raises(PoolTimeoutError, match="max_size") as caught:
                await within(waiter)

        assert isinstance(caught.value, TimeoutError)
        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_the_limit_can_be_given_in_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?max_size=1&acquire_timeout=0.05") as database:
        async with database.connection():
            waiter = asyncio.create_task(database.fetch_val("SELECT 1"))
            with pytest.raises(PoolTimeoutError):
                await within(waiter)


async def test_the_number_of_waiting_tasks_has_a_limit_when_asked_for(
    make_database: MakeDatabase,
) -> None:
    async with make_database(max_size=1, max_waiting=1) as database:
        async with database.connection():
            first = asyncio.create_task(database.fetch_val("SELECT 1"))
            await until_waiting(database)
            with pytest.raises(PoolTimeoutError):
                await asyncio.create_task(database.fetch_val("SELECT 2"))

        assert await within(first) == 1


async def test_waiting_for_long_is_told_in_the_log(
    make_database: MakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(waiting, "WARN_AFTER", 0.05)

    async with make_database(max_size=1) as database:

        async def hold_it() -> None:
            async with database.connection():
                await asyncio.sleep(0.2)

        holder = asyncio.create_task(hold_it(), name="the holder")
        await asyncio.sleep(0.02)
        assert await within(database.fetch_val("SELECT 1")) == 1
        await holder

    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 1 <= len(told) <= 4
    assert all("task 'the holder'" in text for text in told)


async def test_connections_that_nobody_uses_are_closed(make_database: MakeDatabase) -> None:
    async with make_database(min_size=1, max_size=3, max_idle=0.1) as database:
        await hold(database, 3)
        assert database.pool_stats().size == 3

        await asyncio.sleep(0.15)
        assert await within(database.fetch_val("SELECT 1")) == 1
        for _ in range(200):
            if database.pool_stats().size == 1:
                break
            await asyncio.sleep(0.01)

        assert database.pool_stats().size == 1
        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_a_task_that_gave_up_waiting_leaves_its_turn(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        async with database.connection():
            tasks = [asyncio.create_task(database.fetch_val("SELECT 1")) for _ in range(3)]
            await until_waiting(database, 3)
            tasks[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]

        assert await within(asyncio.gather(*tasks[1:])) == [1, 1]


async def test_a_connection_that_was_closed_while_idle_is_replaced(
    make_database: MakeDatabase,
) -> None:
    async with make_database(max_size=1) as database:
        async with database.connection() as connection:
            raw = connection.raw_connection
        closing = raw.close()
        if closing is not None:
            await closing

        assert await within(database.fetch_val("SELECT 1")) == 1
        async with database.connection() as connection:
            assert connection.raw_connection is not raw


@requires("server")
async def test_session_state_lasts_between_sequential_queries(database: Database) -> None:
    """Outside a connection block it is kept by luck, but has always been."""
    await database.execute("CREATE TEMPORARY TABLE mine (id INTEGER)")
    for key in range(5):
        await database.execute("INSERT INTO mine (id) VALUES (:id)", {"id": key})

    assert await database.fetch_val("SELECT count(*) FROM mine") == 5


async def test_hooks_are_called_with_the_drivers_connection(make_database: MakeDatabase) -> None:
    calls: list[tuple[str, Any]] = []

    async def on_connect(raw: Any) -> None:
        calls.append(("connect", raw))

    async def on_acquire(raw: Any) -> None:
        calls.append(("acquire", raw))

    async def on_release(raw: Any) -> None:
        calls.append(("release", raw))

    async with make_database(
        max_size=1, on_connect=on_connect, on_acquire=on_acquire, on_release=on_release
    ) as database:
        for _ in range(2):
            async with database.connection() as connection:
                raw = connection.raw_connection

    assert calls == [
        ("connect", raw),
        ("acquire", raw),
        ("release", raw),
        ("acquire", raw),
        ("release", raw),
    ]


async def test_hooks_may_be_plain_functions(make_database: MakeDatabase) -> None:
    connected: list[Any] = []

    async with make_database(on_connect=connected.append) as database:
        assert await database.fetch_val("SELECT 1") == 1

    assert len(connected) == 1


async def test_a_hook_that_fails_fails_the_acquire(make_database: MakeDatabase) -> None:
    failing = True

    async def on_acquire(raw: Any) -> None:
        if failing:
            raise LookupError("hook")

    async with make_database(max_size=1, on_acquire=on_acquire) as database:
        with pytest.raises(LookupError, match="hook"):
            await database.fetch_val("SELECT 1")

        failing = False
        assert await within(database.fetch_val("SELECT 1")) == 1


async def test_a_connect_hook_that_fails_fails_connect(make_database: MakeDatabase) -> None:
    async def on_connect(raw: Any) -> None:
        raise LookupError("hook")

    database = make_database(on_connect=on_connect)

    with pytest.raises(LookupError, match="hook"):
        await database.connect()

    assert not database.is_connected


async def test_connections_are_replaced_after_so_many_loans(make_database: MakeDatabase) -> None:
    seen = []
    async with make_database(max_size=1, max_queries=2) as database:
        for _ in range(4):
            async with database.connection() as connection:
                seen.append(connection.raw_connection)

    assert [seen[0] is seen[1], seen[1] is seen[2], seen[2] is seen[3]] == [True, False, True]


async def test_pre_ping_can_be_asked_for(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1, pre_ping=True) as database:
        for number in range(3):
            assert await database.fetch_val("SELECT :n + 0", {"n": number}) == number


async def test_pre_ping_pings_at_every_loan(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings = 0
    database = make_database(max_size=1, pre_ping=True)
    backend: Any = database._backend
    ping = backend.driver.ping

    async def counted(raw: Any) -> None:
        nonlocal pings
        pings += 1
        await ping(raw)

    monkeypatch.setattr(backend.driver, "ping", counted)
    await database.connect()

    async def query() -> None:
        assert await database.fetch_val("SELECT 1") == 1

    for _ in range(3):
        await query()
    one_after_another = pings
    await asyncio.gather(*(query() for _ in range(3)))

    assert one_after_another == 3
    assert pings == 6


async def test_no_bound_is_zero_as_in_the_driver_s_own_pool(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    database = make_database(max_size=0)

    if driver.name == "asyncpg":
        with pytest.raises(ValueError, match="max_size"):
            await database.connect()
    else:
        async with database:
            assert database.pool_stats().max_size is None
