"""A result whose columns are known by their bytes is read as one that is read at length."""

from __future__ import annotations

import warnings
from importlib import metadata
from typing import Any

import pytest

from databases import Database
from databases.backends.dialects import arrived, packets
from tests.conftest import MakeDatabase
from tests.support.drivers import requires
from tests.support.outside import Outside

pytestmark = requires("charsets")

QUERIES = [
    "SELECT 1 AS one",
    "SELECT NULL AS a, '' AS b, 'text' AS c, 0 AS d, -1.50 AS e, 1e3 AS f",
    "SELECT 1 AS a, 2 AS a",
    "SELECT CAST('2020-02-03' AS DATE) AS d, CAST('04:05:06' AS TIME) AS t",
    "SELECT CAST('2020-02-03 04:05:06.789' AS DATETIME(3)) AS m, 18446744073709551615 AS b",
    "SELECT X'00FF27' AS bytes, 'größe 漢字 😀' AS größe",
    "SELECT REPEAT('x', 250) AS a, REPEAT('y', 251) AS b, REPEAT('z', 70000) AS c",
    "SELECT REPEAT('x', 20000) AS longer_than_what_is_taken_at_once",
    "SELECT 1 AS one FROM DUAL WHERE 1 = 0",
    " UNION ALL ".join(f"SELECT {number} AS n, 'row {number}' AS t" for number in range(300)),
    "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(250)),
    "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(251)),
]


def test_both_drivers_are_known_inside() -> None:
    assert packets.connection_class() is packets.QuickConnection
    # Earlier releases of asyncmy read from a stream.
    is_recent = tuple(map(int, metadata.version("asyncmy").split(".")[:3])) >= (0, 2, 18)
    assert (arrived.connection_class() is arrived.QuickConnection) or not is_recent


async def test_no_cursor_is_made_where_nobody_has_asked_anything_of_it(
    database: Database, make_database: MakeDatabase
) -> None:
    asked = make_database(echo=True)
    await asked.connect()
    for each, is_plain in ((database, True), (asked, False)):
        async with each.connection() as connection:
            assert connection.raw_connection.is_plain is is_plain
            assert await connection.fetch_val("SELECT 42") == 42
            assert await connection.execute("DO 0") == 0


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:40])
async def test_the_second_result_is_as_the_first(database: Database, query: str) -> None:
    async with database.connection() as connection:
        first, second, third = [await connection.fetch_all(query) for _ in range(3)]

        assert [*map(_told, first)] == [*map(_told, second)] == [*map(_told, third)]
        one = await connection.fetch_one(query)
        assert one is None or _told(one) == _told(first[0])
        assert (one is None) == (not first)


async def test_a_result_of_other_columns_is_not_taken_for_the_known_one(
    database: Database, outside: Outside
) -> None:
    outside.run("DROP TABLE IF EXISTS changing")
    outside.run("CREATE TABLE changing (a INTEGER)")
    outside.run("INSERT INTO changing VALUES (1)")
    try:
        async with database.connection() as connection:
            for _ in range(3):
                assert await connection.fetch_val("SELECT * FROM changing") == 1
            outside.run("ALTER TABLE changing MODIFY a VARCHAR(9)")
            for _ in range(3):
                assert await connection.fetch_val("SELECT * FROM changing") == "1"
            outside.run("ALTER TABLE changing ADD b INTEGER DEFAULT 7")
            for _ in range(3):
                row = await connection.fetch_one("SELECT * FROM changing")
                assert row is not None
                assert dict(row) == {"a": "1", "b": 7}
    finally:
        outside.run("DROP TABLE changing")


async def test_another_character_set_is_another_result(database: Database) -> None:
    async with database.connection() as connection:
        raw: Any = connection.raw_connection
        for charset, encoding in (("utf8mb4", "utf8"), ("latin1", "cp1252")) * 2:
            await connection.execute(f"SET NAMES {charset}")
            raw._encoding = encoding  # as the drivers' set_charset() does, or should
            assert await connection.fetch_val("SELECT 'größe' AS word") == "größe"


async def test_an_error_among_known_rows_is_raised(database: Database) -> None:
    """The server finds it when it has described the columns already."""
    async with database.connection() as connection:
        query = "SELECT CAST(t AS CHAR) AS t FROM (SELECT 1 AS t UNION SELECT :more) AS some"
        for _ in range(3):
            assert len(await connection.fetch_all(query, {"more": 2})) == 2
        failing = f"{query} WHERE t < 2 OR t = (SELECT 1 UNION SELECT :more)"
        for _ in range(3):
            with pytest.raises(Exception, match="more than 1 row"):
                await connection.fetch_all(failing, {"more": 2})
            assert await connection.fetch_val("SELECT 42") == 42


async def test_what_the_server_says_at_the_end_is_heeded(database: Database) -> None:
    """A transaction that is open, and warnings."""
    async with database.connection() as connection:
        raw: Any = connection.raw_connection
        for _ in range(3):
            async with connection.transaction(force_rollback=True):
                await connection.fetch_val("SELECT 1")
                assert raw.get_transaction_status()
            await connection.fetch_val("SELECT 1")
            assert not raw.get_transaction_status()
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                assert await connection.fetch_val("SELECT 1/0 AS nothing") is None
                assert await connection.fetch_val("SELECT 42") == 42


async def test_results_that_follow_are_read(database: Database, outside: Outside) -> None:
    outside.run("DROP PROCEDURE IF EXISTS two_results")
    outside.run("CREATE PROCEDURE two_results() BEGIN SELECT 1 AS one; SELECT 2 AS two; END")
    try:
        async with database.connection() as connection:
            for _ in range(3):
                assert await connection.fetch_val("CALL two_results()") == 1
                assert await connection.fetch_val("SELECT 42") == 42
                assert await connection.execute("CALL two_results()") is not None
                assert await connection.fetch_val("SELECT 43") == 43
    finally:
        outside.run("DROP PROCEDURE two_results")


def _told(row: Any) -> list[tuple[str, type, Any]]:
    return [(name, type(value), value) for name, value in zip(row, row.values(), strict=True)]
