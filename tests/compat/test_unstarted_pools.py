"""SQLite's pools that nobody has started, on one event loop after another."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from databases import Database, DatabaseURL
from databases.backends.sqlite import SQLitePool
from tests.faults.acts import slow_query
from tests.support.drivers import DriverCase
from tests.support.watching import patience

pytestmark = [
    pytest.mark.drivers("aiosqlite"),
    # What is left behind complains of its loop.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(params=["the database's own", "assigned", "assigned, one connection"])
def unstarted(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Database:
    """Make a database whose pool is never started."""
    database: Any = Database(f"sqlite:///{tmp_path}/test.db")
    if request.param != "the database's own":
        url = DatabaseURL(f"{database.url}?max_size=1" if "one" in request.param else database.url)
        database._backend._pool = SQLitePool(url)
    made: Database = database
    return made


async def _leave(database: Database, case: DriverCase, *, tasks: int, steps: int) -> None:
    """Let the loop end in the middle of queries that nobody waits for."""
    left = [asyncio.ensure_future(database.fetch_val(slow_query(case, 30))) for _ in range(tasks)]
    for _ in range(steps):
        await asyncio.sleep(0)
    del left


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 50])
def test_the_next_loop_does_not_wait_for_what_the_last_one_has_left(
    unstarted: Database, driver: DriverCase, steps: int
) -> None:
    async def ask() -> Any:
        return await asyncio.wait_for(unstarted.fetch_val("SELECT 1"), patience(5))

    for _ in range(3):
        asyncio.run(_leave(unstarted, driver, tasks=3, steps=steps))

        assert asyncio.run(ask()) == 1


def test_a_transaction_of_the_next_loop_does_not_wait_either(
    unstarted: Database, driver: DriverCase
) -> None:
    async def write() -> Any:
        async with unstarted, unstarted.transaction():
            await unstarted.execute("CREATE TABLE numbers (n INTEGER)")
            await unstarted.execute("INSERT INTO numbers VALUES (2)")
            return await unstarted.fetch_val("SELECT n FROM numbers")

    asyncio.run(_leave(unstarted, driver, tasks=3, steps=50))

    assert asyncio.run(asyncio.wait_for(write(), patience(5))) == 2
