"""The warning of a connection that is held for too long, and connections that are gone."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import end_sessions, slow_query, times_out, until
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside

pytestmark = pytest.mark.fault

WARN_AFTER = 0.3


async def _warned_of(database: Database, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Hold a connection until that is warned of, as earlier ones would be by then."""

    def warnings() -> list[str]:
        return [one.getMessage() for one in caplog.records if "held for more" in one.getMessage()]

    async def hold() -> None:
        async with database.connection() as connection:
            await connection.fetch_val("SELECT 1")
            await until(lambda: any("later" in one for one in warnings()), "the warning")

    await asyncio.create_task(hold(), name="later")
    return [one.rpartition("by ")[2] for one in warnings()]


async def test_a_connection_whose_query_was_given_up_is_not_warned_of(
    make_database: MakeDatabase, driver: DriverCase, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(max_size=2, leak_warning_after=WARN_AFTER)
    await database.connect()
    await times_out(database.fetch_val(slow_query(driver, 2)))

    assert await _warned_of(database, caplog) == ["task 'later'"]


@requires("server")
async def test_a_connection_whose_session_was_killed_is_not_warned_of(
    make_database: MakeDatabase, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(max_size=2, leak_warning_after=WARN_AFTER)
    await database.connect()
    with pytest.raises(Exception):  # in the driver's own words
        async with database.transaction():
            await database.fetch_val("SELECT 1")
            end_sessions(outside)
            await database.fetch_val("SELECT 2")

    assert await _warned_of(database, caplog) == ["task 'later'"]
