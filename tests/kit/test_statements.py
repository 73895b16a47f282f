"""The queries of a block, listed and counted."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from databases.testing import assert_num_queries, captured_statements
from tests.support.drivers import DriverCase
from tests.support.tables import notes

ADD = notes.insert()


def _first_words(statements: list[str]) -> list[str]:
    return [statement.split()[0].upper() for statement in statements]


async def test_every_verb_counts_once_and_transactions_do_not(database: Database) -> None:
    with captured_statements(database) as statements:
        async with database.transaction():
            await database.execute(ADD, {"id": 1})
            async with database.transaction():
                await database.execute_many(ADD, [{"id": 2}, {"id": 3}])
        await database.fetch_all(notes.select())
        await database.fetch_one(notes.select())
        await database.fetch_val("SELECT id FROM notes WHERE id = :id", {"id": 2})
        async for _ in database.iterate(notes.select()):
            pass

    assert _first_words(statements) == ["INSERT"] * 2 + ["SELECT"] * 4
    assert not any("2" in statement for statement in statements[:2])


async def test_nothing_is_captured_after_the_block(database: Database) -> None:
    with captured_statements(database) as statements:
        await database.fetch_all(notes.select())
    await database.fetch_all(notes.select())

    assert len(statements) == 1
    assert database._listeners is None


async def test_queries_of_all_tasks_and_those_that_failed_count(
    database: Database, driver: DriverCase
) -> None:
    await database.execute(ADD, {"id": 1})

    with assert_num_queries(database, 4) as statements:
        await asyncio.gather(*(database.execute(ADD, {"id": number}) for number in (2, 3, 4)))
        with pytest.raises(driver.integrity_error):
            await database.execute(ADD, {"id": 1})

    assert _first_words(statements) == ["INSERT"] * 4


async def test_wrong_number_is_an_error_that_lists_the_statements(database: Database) -> None:
    with pytest.raises(AssertionError) as caught, assert_num_queries(database, 1):
        await database.execute(ADD, {"id": 1})
        await database.fetch_val("SELECT count(*) FROM notes")

    lines = str(caught.value).splitlines()
    assert lines[0] == "1 queries expected, 2 run:"
    assert lines[1].startswith("  1. INSERT INTO")
    assert lines[2] == "  2. SELECT count(*) FROM notes"


async def test_too_few_queries_are_an_error(database: Database) -> None:
    with pytest.raises(AssertionError, match=r"^2 queries expected, 0 run$"):
        with assert_num_queries(database, 2):
            pass


async def test_error_of_the_block_comes_through(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), assert_num_queries(database, 1):
        raise ZeroDivisionError


async def test_queries_are_counted_under_force_rollback(url: str) -> None:
    async with Database(url, force_rollback=True) as database:
        with assert_num_queries(database, 2):
            await database.execute(ADD, {"id": 1})
            await database.fetch_all(notes.select())
