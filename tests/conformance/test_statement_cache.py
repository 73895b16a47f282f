"""The cache of statements: what `cache_stats` tells, and that its size changes no answer."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.tables import notes


async def _ask(database: Database, number: int) -> list[Any]:
    text = await database.fetch_val("SELECT text FROM notes WHERE id = :id", {"id": number})
    row = await database.fetch_one(notes.select().where(notes.c.id == number))
    return [text, None if row is None else row["text"]]


@pytest.mark.parametrize("size", [0, 1, 512])
async def test_answers_are_the_same_for_every_size(make_database: MakeDatabase, size: int) -> None:
    async with make_database(query_cache_size=size) as database:
        await database.execute_many(
            notes.insert(), [{"id": n, "text": f"note {n}", "completed": False} for n in (1, 2)]
        )

        answers = [await _ask(database, number) for number in (1, 2, 1)]

        assert answers == [["note 1"] * 2, ["note 2"] * 2, ["note 1"] * 2]
        stats = database.cache_stats()
        assert stats.max_size == size
        assert stats.size <= 2 * size


async def test_a_statement_is_compiled_once(make_database: MakeDatabase) -> None:
    async with make_database(query_cache_size=10) as database:
        await _ask(database, 1)
        first = database.cache_stats()

        await _ask(database, 2)

        second = database.cache_stats()
        assert second.misses == first.misses
        assert second.hits == first.hits + 2


async def test_the_oldest_goes(make_database: MakeDatabase) -> None:
    async with make_database(query_cache_size=3) as database:
        for number in range(5):
            await database.fetch_val(f"SELECT {number}")
            await database.fetch_val(sa.select(sa.literal_column(str(number))))

        assert database.cache_stats().size == 6


async def test_without_a_cache_everything_is_a_miss(make_database: MakeDatabase) -> None:
    async with make_database(query_cache_size=0) as database:
        await _ask(database, 1)
        await _ask(database, 1)

        stats = database.cache_stats()
        assert (stats.hits, stats.size) == (0, 0)
        assert stats.misses == 4
