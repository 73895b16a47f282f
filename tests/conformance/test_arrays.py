"""Array columns and binary JSON, where the database has them."""

from __future__ import annotations

import decimal
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import Mood, arrays

pytestmark = requires("arrays")

VALUES: dict[str, Any] = {
    "numbers": [1, None, 3],
    "texts": ["a", 'with "quotes"', "comma, brace {}", "NULL", "", None, "back\\slash"],
    "moods": [Mood.HAPPY, Mood.SAD, None],
    "prices": [decimal.Decimal("1.5000"), decimal.Decimal("-2.2500")],
    "identifiers": [uuid.UUID(int=1), uuid.UUID(int=2)],
    "documents": [{"a": 1}, [2], "three", {"b": {"c": None}}],
    "shouts": ["LOUD", "LOUDER"],
    "grid": [[1, 2], [3, 4]],
    "jsonb": {"a": [1, {"b": None}]},
}

if sa.__version__ == "2.0.7":
    # It cannot read an absent element of an array of enums by any driver.
    VALUES["moods"] = [Mood.HAPPY, Mood.SAD]

NAMES = list(VALUES)


@pytest.mark.parametrize("name", NAMES)
async def test_a_value_comes_back_as_it_was_written(database: Database, name: str) -> None:
    await database.execute(arrays.insert().values({name: VALUES[name]}))

    assert await database.fetch_val(sa.select(arrays.c[name])) == VALUES[name]


@pytest.mark.parametrize("name", NAMES)
async def test_a_value_is_stored_as_sqlalchemy_stores_it(
    database: Database, outside: Outside, name: str
) -> None:
    await database.execute(arrays.insert().values({name: VALUES[name]}))

    assert outside.value(sa.select(arrays.c[name])) == VALUES[name]


@pytest.mark.parametrize("name", NAMES)
async def test_every_view_gives_the_same_value(
    database: Database, outside: Outside, name: str
) -> None:
    value = VALUES[name]
    outside.insert(arrays, {name: value})

    row = await database.fetch_one(sa.select(arrays.c[name]))

    assert row is not None
    assert row[name] == row[0] == row._mapping[name] == getattr(row, name) == value
    assert list(row.values()) == [value]
    assert await database.fetch_val(sa.select(arrays.c[name])) == value


@pytest.mark.parametrize("name", NAMES)
async def test_null_comes_back_as_none(database: Database, outside: Outside, name: str) -> None:
    outside.insert(arrays, {"id": 1})

    assert await database.fetch_val(sa.select(arrays.c[name])) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("jsonb", "grid")])
async def test_an_empty_array_comes_back_empty(database: Database, name: str) -> None:
    await database.execute(arrays.insert().values({name: []}))

    assert await database.fetch_val(sa.select(arrays.c[name])) == []


async def test_execute_many_of_every_array(database: Database) -> None:
    await database.execute_many(arrays.insert(), [VALUES, VALUES])

    rows = await database.fetch_all(arrays.select())

    assert [{name: row[name] for name in NAMES} for row in rows] == [VALUES, VALUES]


async def test_any_and_contains(database: Database, outside: Outside) -> None:
    outside.insert(arrays, {"id": 1, "numbers": [1, 2]}, {"id": 2, "numbers": [3]})

    has_three = sa.select(arrays.c.id).where(sa.literal(3) == sa.func.any(arrays.c.numbers))
    has_one = sa.select(arrays.c.id).where(arrays.c.numbers.contains([1]))

    assert await database.fetch_val(has_three) == 2
    assert await database.fetch_val(has_one) == 1


async def test_a_list_parameter_of_a_string_query_for_any(
    database: Database, outside: Outside
) -> None:
    """``= ANY(:ids)`` takes the list as one array; only ``IN`` expands it."""
    outside.insert(arrays, {"id": 1}, {"id": 2}, {"id": 3})

    rows = await database.fetch_all(
        "SELECT id FROM arrays WHERE id = ANY(:ids) ORDER BY id", {"ids": [1, 3]}
    )

    assert [row["id"] for row in rows] == [1, 3]


async def test_jsonb_operators(database: Database, outside: Outside) -> None:
    outside.insert(arrays, {"id": 1, "jsonb": {"a": {"b": 5}}})

    query = sa.select(arrays.c.id).where(arrays.c.jsonb.contains({"a": {"b": 5}}))
    has_key = sa.select(arrays.c.id).where(arrays.c.jsonb.has_key("a"))

    assert await database.fetch_val(query) == 1
    assert await database.fetch_val(has_key) == 1
    assert await database.fetch_val(sa.select(arrays.c.jsonb["a"]["b"].as_integer())) == 5


async def test_array_aggregate(database: Database, outside: Outside) -> None:
    outside.insert(arrays, {"id": 1}, {"id": 2})

    query = sa.select(sa.func.array_agg(arrays.c.id))

    assert sorted(await database.fetch_val(query)) == [1, 2]
