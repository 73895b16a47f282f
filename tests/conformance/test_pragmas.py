"""Pragmas as options: on every connection to SQLite."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from databases import Database
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.drivers import DriverCase, requires

pytestmark = requires("file")

GIVEN = {
    "journal_mode": ("wal", "wal"),
    "foreign_keys": ("on", 1),
    "busy_timeout": (1500, 1500),
    "synchronous": ("normal", 1),
    "cache_size": (-4000, -4000),
    "mmap_size": (65536, 65536),
    "temp_store": ("memory", 2),
    "wal_autocheckpoint": (50, 50),
    "journal_size_limit": (4096, 4096),
    "recursive_triggers": ("on", 1),
    "trusted_schema": ("off", 0),
    "query_only": ("on", 1),
}


async def set_on(connection: Any) -> dict[str, Any]:
    return {name: await connection.fetch_val(f"PRAGMA {name}") for name in GIVEN}


async def test_keywords_set_them_on_every_connection(make_database: MakeDatabase) -> None:
    expected = {name: found for name, (_, found) in GIVEN.items()}
    given = {name: value for name, (value, _) in GIVEN.items()}

    async with make_database(**given) as database:
        async with database.connection() as first, database.connection(new=True) as second:
            assert first.raw_connection is not second.raw_connection
            assert await set_on(first) == expected
            assert await set_on(second) == expected


async def test_the_url_sets_them(make_database: MakeDatabase, url: str) -> None:
    query = "&".join(f"{name}={value}" for name, (value, _) in GIVEN.items())

    async with make_database(f"{url}?{query}") as database:
        assert await set_on(database) == {name: found for name, (_, found) in GIVEN.items()}


async def test_keywords_win(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?synchronous=off", synchronous="FULL") as database:
        assert await database.fetch_val("PRAGMA synchronous") == 2


@pytest.mark.parametrize("value", [True, 1, "1", "ON", "true", "yes"])
async def test_switches_take_what_switches_take(make_database: MakeDatabase, value: object) -> None:
    async with make_database(foreign_keys=value) as database:
        assert await database.fetch_val("PRAGMA foreign_keys") == 1


async def test_foreign_keys_are_enforced(make_database: MakeDatabase, driver: DriverCase) -> None:
    async with make_database(foreign_keys=True) as database:
        await database.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        await database.execute("CREATE TABLE b (a INTEGER REFERENCES a)")

        with pytest.raises(driver.integrity_error):
            await database.execute("INSERT INTO b VALUES (1)")


async def test_a_database_in_memory_has_no_wal_and_says_nothing() -> None:
    async with Database("sqlite://", journal_mode="wal", foreign_keys=True) as database:
        assert await database.fetch_val("PRAGMA journal_mode") == "memory"
        assert await database.fetch_val("PRAGMA foreign_keys") == 1


async def test_they_are_set_without_connect_too(url: str) -> None:
    database = Database(url, foreign_keys=True)

    assert await database.fetch_val("PRAGMA foreign_keys") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"journal_mode": "wall"}, "'wall' is not one of delete, truncate, persist, memory, wal"),
        ({"synchronous": 7}, "7 is not one of off, normal, full, extra"),
        ({"foreign_keys": "maybe"}, "'maybe' is not one of on, off"),
        ({"busy_timeout": "1.5"}, "'1.5' is not a whole number, 0 or more"),
        ({"busy_timeout": -1}, "-1 is not a whole number, 0 or more"),
        ({"journal_mode": "wal; DROP TABLE codes"}, "is not one of"),
    ],
)
def test_a_value_that_nobody_knows_names_the_known_ones(
    url: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Database(url, **options)


def test_a_pragma_that_nobody_knows_is_warned_of_with_the_nearest(url: str) -> None:
    with pytest.warns(UserWarning, match="'jurnal_mode'.*'journal_mode'"):
        Database(f"{url}?jurnal_mode=wal")


async def test_none_is_not_given(make_database: MakeDatabase) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with make_database(foreign_keys=None) as database:
            assert await database.fetch_val("PRAGMA foreign_keys") == 0


async def test_an_immediate_transaction_takes_the_write_lock(
    make_database: MakeDatabase, driver: DriverCase, url: str
) -> None:
    async with make_database() as database, make_database(busy_timeout=0) as other:
        async with database.transaction(mode="immediate"):
            with pytest.raises(driver.error, match="locked"):
                await other.execute("INSERT INTO codes (code) VALUES ('a')")
