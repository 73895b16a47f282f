"""Selects and changes of classes that are mapped by SQLAlchemy's ORM."""

from __future__ import annotations

from typing import Any

import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from databases import Database
from tests.support.tables import Mood, User, notes


@pytest_asyncio.fixture
async def users(database: Database) -> Database:
    """Give a database with two users."""
    await database.execute_many(
        sa.insert(User),
        [{"id": 1, "name": "Ada", "mood": Mood.HAPPY}, {"id": 2, "name": "Bob", "mood": None}],
    )
    return database


async def test_select_of_a_class_gives_its_columns(users: Database) -> None:
    rows = await users.fetch_all(sa.select(User).order_by(User.id))

    assert [dict(row) for row in rows] == [
        {"id": 1, "name": "Ada", "mood": Mood.HAPPY},
        {"id": 2, "name": "Bob", "mood": None},
    ]


async def test_columns_are_read_by_every_name(users: Database) -> None:
    row: Any = await users.fetch_one(sa.select(User).where(User.name == "Ada"))

    table: Any = User.__table__
    assert row["name"] == row.name == row[1] == "Ada"
    assert row[table.c.name] == "Ada"
    assert row["mood"] is row.mood is Mood.HAPPY


async def test_select_of_attributes(users: Database) -> None:
    rows = await users.fetch_all(sa.select(User.name, User.mood).order_by(User.name.desc()))

    assert [dict(row) for row in rows] == [
        {"name": "Bob", "mood": None},
        {"name": "Ada", "mood": Mood.HAPPY},
    ]


async def test_value_of_an_attribute(users: Database) -> None:
    query = sa.select(User).where(User.id == 1)

    assert await users.fetch_val(query) == 1
    assert await users.fetch_val(query, column="name") == "Ada"
    assert await users.fetch_val(sa.select(User.mood).where(User.id == 1)) is Mood.HAPPY


async def test_iterate_over_a_class(users: Database) -> None:
    query = sa.select(User).order_by(User.id)

    assert [row["name"] async for row in users.iterate(query)] == ["Ada", "Bob"]


async def test_insert_update_and_delete_of_a_class(users: Database) -> None:
    await users.execute(sa.insert(User), {"id": 3, "name": "Cyd", "mood": Mood.SAD})
    await users.execute(sa.update(User).where(User.id == 1).values(name="Eve"))
    await users.execute(sa.delete(User).where(User.id == 2))

    rows = await users.fetch_all(sa.select(User).order_by(User.id))

    assert [(row["id"], row["name"], row["mood"]) for row in rows] == [
        (1, "Eve", Mood.HAPPY),
        (3, "Cyd", Mood.SAD),
    ]


async def test_insert_of_a_class_takes_values(users: Database) -> None:
    await users.execute(sa.insert(User).values(id=4, name="Dee"))

    assert await users.fetch_val(sa.select(User.name).where(User.id == 4)) == "Dee"


async def test_select_with_bind_parameters(users: Database) -> None:
    query = sa.select(User).where(User.name == sa.bindparam("name"))

    row = await users.fetch_one(query, {"name": "Bob"})

    assert row is not None
    assert row["id"] == 2


async def test_join_with_a_core_table(users: Database) -> None:
    await users.execute(notes.insert(), {"id": 2, "text": "by Bob"})
    query = sa.select(User.name, notes.c.text).join_from(User, notes, User.id == notes.c.id)

    assert [dict(row) for row in await users.fetch_all(query)] == [
        {"name": "Bob", "text": "by Bob"}
    ]


async def test_select_of_an_alias(users: Database) -> None:
    other = aliased(User)
    query = sa.select(User.name, other.name.label("other")).where(User.id < other.id)

    rows = await users.fetch_all(query)

    assert [dict(row) for row in rows] == [{"name": "Ada", "other": "Bob"}]


async def test_table_of_a_class(users: Database) -> None:
    table: Any = User.__table__

    row = await users.fetch_one(table.select().where(table.c.id == 1))

    assert row is not None
    assert row[table.c.mood] is Mood.HAPPY
