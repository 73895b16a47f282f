"""A pool whose ``acquire`` or ``release`` a program has replaced, as tracers and tests do."""

from __future__ import annotations

import asyncio
import gc
import pathlib
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query
from tests.support.checks import eventually_none
from tests.support.drivers import DriverCase
from tests.support.tables import notes


class Watch:
    """Counts what a pool lends and gets back, by functions in the place of its methods."""

    def __init__(self, database: Database) -> None:
        self.acquired = self.released = 0
        pool = pool_of(database)
        acquire, release = pool.acquire, pool.release

        async def counted_acquire() -> Any:
            raw = await acquire()
            self.acquired += 1
            return raw

        async def counted_release(raw: Any) -> None:
            self.released += 1
            await release(raw)

        pool.acquire, pool.release = counted_acquire, counted_release


def pool_of(database: Database) -> Any:
    """Return the pool as programs get at it."""
    backend: Any = database._backend
    return backend._pool


def in_use(database: Database) -> list[str]:
    """Return how many connections are lent, nothing if none is."""
    lent = database.pool_stats().in_use
    return [f"{lent} lent"] if lent else []


async def test_every_connection_comes_from_the_replaced_acquire(database: Database) -> None:
    watch = Watch(database)

    await database.execute(notes.insert(), {"text": "one"})
    assert await database.fetch_val("SELECT COUNT(*) FROM notes") == 1
    async with database.transaction():
        await database.execute(notes.insert(), {"text": "two"})
    assert [note["text"] async for note in database.iterate("SELECT text FROM notes")] == [
        "one",
        "two",
    ]

    assert (watch.acquired, watch.released) == (4, 4)
    assert not in_use(database)


async def test_what_was_lent_before_comes_back_all_the_same(make_database: MakeDatabase) -> None:
    database = make_database(max_size=1)
    await database.connect()

    async with database.connection():
        watch = Watch(database)

    await eventually_none(lambda: in_use(database), "connections lent")
    assert await database.fetch_val("SELECT 1") == 1
    assert (watch.acquired, watch.released) == (1, 1)


async def test_a_cancelled_query_gives_its_place_back(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    database = make_database(max_size=1)
    await database.connect()
    watch = Watch(database)

    with pytest.raises(TimeoutError):
        await database.fetch_all(slow_query(driver, 1), timeout=0.2)

    assert await asyncio.wait_for(database.fetch_val("SELECT 1"), 2) == 1
    await eventually_none(lambda: in_use(database), "connections lent")
    assert watch.acquired == watch.released >= 2


async def test_a_forgotten_connection_gives_its_place_back(make_database: MakeDatabase) -> None:
    database = make_database(max_size=1)
    await database.connect()
    Watch(database)

    async def forget() -> None:
        await database.connection().__aenter__()

    await asyncio.create_task(forget())
    gc.collect()

    assert await asyncio.wait_for(database.fetch_val("SELECT 1"), 2) == 1


async def test_replaced_before_connect_it_is_asked_for_every_loan(tmp_path: pathlib.Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    pool = pool_of(database)
    acquire = pool.acquire

    async def acquire_with_foreign_keys() -> Any:
        raw = await acquire()
        await raw.execute("PRAGMA foreign_keys = ON")
        return raw

    pool.acquire = acquire_with_foreign_keys
    assert await database.fetch_val("PRAGMA foreign_keys") == 1
    for _ in range(2):
        async with database:
            assert await database.fetch_val("PRAGMA foreign_keys") == 1
            async with database.transaction():
                await database.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER)")
                await database.execute("INSERT INTO t VALUES (1)")
            assert await database.fetch_val("PRAGMA foreign_keys") == 1
    assert await database.fetch_val("SELECT COUNT(*) FROM t") == 2
