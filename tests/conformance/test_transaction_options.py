"""Transaction options: honoured where the database has them, refused by name elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out
from tests.support.drivers import DriverCase, lacks, requires
from tests.support.outside import Outside
from tests.support.tables import codes

LEVELS = ["serializable", "repeatable_read", "read_committed", "read_uncommitted"]
SPELLINGS = [
    (level, spelling)
    for level in LEVELS
    for spelling in {level, level.upper(), level.replace("_", " "), level.replace("_", " ").title()}
]


async def isolation(database: Database, outside: Outside, driver: DriverCase) -> str:
    """Find out the isolation level of the running transaction.

    PostgreSQL tells. MySQL tells no one: there the level is what it does.
    """
    if driver.dialect == "postgresql":
        told: str = await database.fetch_val("SELECT current_setting('transaction_isolation')")
        return told
    query = sa.select(sa.func.count()).select_from(codes)
    count = await database.fetch_val(query)
    if _is_locked(outside):
        return "serializable"
    outside.run("BEGIN")
    try:
        outside.insert(codes, {"code": f"code {count}"})
        sees_uncommitted = await database.fetch_val(query) != count
    finally:
        outside.run("COMMIT")
    if sees_uncommitted:
        return "read uncommitted"
    sees_committed = await database.fetch_val(query) != count
    return "read committed" if sees_committed else "repeatable read"


def _is_locked(outside: Outside) -> bool:
    """Say whether reading the rows of `codes` has locked them."""
    try:
        outside.rows("SELECT id FROM codes FOR UPDATE NOWAIT")
    except sa.exc.OperationalError:
        return True
    return False


@requires("isolation_levels")
@pytest.mark.parametrize(("level", "spelling"), sorted(SPELLINGS))
async def test_an_isolation_level_is_honoured_in_every_spelling(
    database: Database, outside: Outside, driver: DriverCase, level: str, spelling: str
) -> None:
    outside.insert(codes, {"code": "first"})
    async with database.transaction(isolation=spelling):
        assert await isolation(database, outside, driver) == level.replace("_", " ")


@requires("isolation_levels")
async def test_an_isolation_level_ends_with_its_transaction(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(codes, {"code": "first"})
    async with database.connection():
        async with database.transaction():
            usual = await isolation(database, outside, driver)
        async with database.transaction(isolation="read_uncommitted"):
            assert await isolation(database, outside, driver) == "read uncommitted"
        async with database.transaction():
            assert await isolation(database, outside, driver) == usual


@requires("isolation_levels")
async def test_an_isolation_level_works_in_every_form(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(codes, {"code": "first"})

    @database.transaction(isolation="serializable")
    async def decorated() -> str:
        return await isolation(database, outside, driver)

    assert await decorated() == "serializable"

    transaction = await database.transaction(isolation="serializable")
    try:
        assert await isolation(database, outside, driver) == "serializable"
    finally:
        await transaction.rollback()


@requires("isolation_levels")
async def test_repeatable_read_really_repeats(database: Database, outside: Outside) -> None:
    async with database.transaction(isolation="repeatable_read"):
        before = await database.fetch_val("SELECT count(*) FROM codes")
        outside.insert(codes, {"code": "new"})
        after = await database.fetch_val("SELECT count(*) FROM codes")

    assert (before, after) == (0, 0)
    assert await database.fetch_val("SELECT count(*) FROM codes") == 1


@requires("isolation_levels")
async def test_read_committed_really_sees_commits(database: Database, outside: Outside) -> None:
    async with database.transaction(isolation="read_committed"):
        before = await database.fetch_val("SELECT count(*) FROM codes")
        outside.insert(codes, {"code": "new"})
        after = await database.fetch_val("SELECT count(*) FROM codes")

    assert (before, after) == (0, 1)


@requires("readonly")
async def test_a_read_only_transaction_refuses_to_write(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.transaction(readonly=True):
        assert await database.fetch_val("SELECT count(*) FROM codes") == 0
    with pytest.raises(driver.error):
        async with database.transaction(readonly=True):
            await database.execute(codes.insert().values(code="a"))
    async with database.transaction(readonly=False):
        await database.execute(codes.insert().values(code="b"))
    await database.execute(codes.insert().values(code="c"))

    assert outside.column(codes.c.code) == ["b", "c"]


@requires("deferrable")
async def test_a_deferrable_transaction_is_one(database: Database) -> None:
    query = "SELECT current_setting('transaction_deferrable')"

    async with database.transaction(isolation="serializable", readonly=True, deferrable=True):
        assert await database.fetch_val(query) == "on"
        assert await database.fetch_val("SELECT current_setting('transaction_read_only')") == "on"
    async with database.transaction():
        assert await database.fetch_val(query) == "off"


@lacks("deferrable")
async def test_deferrable_is_refused_by_name(database: Database) -> None:
    with pytest.raises(ValueError, match="deferrable"):
        async with database.transaction(deferrable=True):
            pass

    assert checked_out(database) == 0


@lacks("readonly")
async def test_readonly_is_refused_by_name_or_honoured(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(Exception, match="readonly"):
        async with database.transaction(readonly=True):
            await database.execute(codes.insert().values(code="a"))

    assert outside.count(codes) == 0


@lacks("isolation_levels")
async def test_an_isolation_level_that_the_database_lacks_is_refused_by_name(
    database: Database,
) -> None:
    with pytest.raises(ValueError, match="isolation"):
        async with database.transaction(isolation="read_committed"):
            pass

    assert checked_out(database) == 0


async def test_an_unknown_isolation_level_is_refused_by_name(database: Database) -> None:
    with pytest.raises(ValueError, match="snapshotty"):
        async with database.transaction(isolation="snapshotty"):
            pass

    assert checked_out(database) == 0
    assert await database.fetch_val("SELECT 1") == 1


async def test_an_unknown_option_is_refused_by_name(database: Database) -> None:
    with pytest.raises((ValueError, TypeError), match="nonsense"):
        async with database.transaction(nonsense=True):
            pass

    assert checked_out(database) == 0


@requires("modes")
@pytest.mark.parametrize("mode", ["deferred", "immediate", "exclusive", "IMMEDIATE"])
async def test_a_transaction_mode_is_honoured(
    database: Database, outside: Outside, mode: str
) -> None:
    """Only a deferred transaction leaves the file free until it reads or writes."""
    async with database.transaction(mode=mode):
        assert bool(outside.open_transactions()) == (mode != "deferred")
        await database.execute(codes.insert().values(code=mode))

    assert outside.column(codes.c.code) == [mode]


@requires("modes")
async def test_an_exclusive_transaction_keeps_readers_out(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(mode="immediate"):
        assert outside.count(codes) == 0
    async with database.transaction(mode="exclusive"):
        with outside.at_once(), pytest.raises(Exception, match="locked"):
            outside.count(codes)


@requires("modes")
async def test_an_unknown_mode_is_refused_by_name(database: Database) -> None:
    with pytest.raises(ValueError, match="sometimes"):
        async with database.transaction(mode="sometimes"):
            pass


@lacks("modes")
async def test_a_mode_is_refused_by_name(database: Database) -> None:
    with pytest.raises((ValueError, TypeError), match="mode"):
        async with database.transaction(mode="immediate"):
            pass


@requires("isolation_levels")
async def test_a_savepoint_asks_for_no_more_than_the_outermost_has(
    database: Database, outside: Outside
) -> None:
    options: Any
    async with database.transaction(isolation="serializable", readonly=True):
        for options in ({"isolation": "SERIALIZABLE"}, {"isolation": "read committed"}):
            async with database.transaction(**options, readonly=True):
                assert await database.fetch_val("SELECT 42") == 42
    async with database.transaction(isolation="read_committed"):
        for options in ({"isolation": "serializable"}, {"readonly": True}):
            with pytest.raises(ConfigurationError, match=f"{next(iter(options))}=.*outermost"):
                async with database.transaction(**options):
                    raise AssertionError("it was begun")
        await database.execute(codes.insert().values(code="kept"))

    assert outside.column(codes.c.code) == ["kept"]


@requires("modes")
async def test_a_savepoint_has_no_mode_of_its_own(database: Database) -> None:
    async with database.transaction(mode="immediate"):
        async with database.transaction(mode="immediate"), database.transaction(mode="deferred"):
            assert await database.fetch_val("SELECT 42") == 42
        with pytest.raises(ConfigurationError, match=r"mode=.*outermost"):
            await database.transaction(mode="exclusive")


async def test_an_unknown_option_of_a_savepoint_is_refused_by_name(database: Database) -> None:
    async with database.transaction():
        with pytest.raises(ConfigurationError, match="nope"):
            await database.transaction(nope=1)
        with pytest.raises(ConfigurationError, match="bogus"):
            await database.transaction(isolation="bogus")
        assert await database.fetch_val("SELECT 42") == 42


async def test_force_rollback_takes_the_options_of_what_it_tests(
    make_database: MakeDatabase,
) -> None:
    """Its own transaction has begun before, without any."""
    async with make_database(force_rollback=True) as database:
        async with database.transaction(isolation="serializable"):
            assert await database.fetch_val("SELECT 42") == 42
        with pytest.raises(ConfigurationError, match="nope"):
            await database.transaction(nope=1)
