"""The query verbs of ``Database`` and ``Connection``: what they take and give."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable, DropTable

from databases import Database
from databases.core import Connection
from databases.interfaces import Record
from tests.support.outside import Outside
from tests.support.tables import notes, typed

ROWS = [
    {"text": "first", "completed": True},
    {"text": "second", "completed": False},
    {"text": "third", "completed": True},
]
BY_ID = notes.select().order_by(notes.c.id)


@pytest_asyncio.fixture(params=["database", "connection"])
async def speaker(
    request: pytest.FixtureRequest, database: Database, outside: Outside
) -> AsyncIterator[Database | Connection]:
    """Give what the verbs are called on, over three rows."""
    outside.insert(notes, *ROWS)
    if request.param == "database":
        yield database
    else:
        async with database.connection() as connection:
            yield connection


async def test_fetch_all_gives_a_list_of_records(speaker: Database) -> None:
    rows = await speaker.fetch_all(BY_ID)

    assert isinstance(rows, list)
    assert [isinstance(row, Record) for row in rows] == [True] * 3
    assert [row["text"] for row in rows] == ["first", "second", "third"]


async def test_fetch_all_of_no_rows_is_an_empty_list(speaker: Database) -> None:
    assert await speaker.fetch_all(BY_ID.where(notes.c.id == -1)) == []


async def test_fetch_one_gives_the_first_record(speaker: Database) -> None:
    row = await speaker.fetch_one(BY_ID)

    assert isinstance(row, Record)
    assert row["text"] == "first"


async def test_fetch_one_of_no_rows_is_none(speaker: Database) -> None:
    assert await speaker.fetch_one(BY_ID.where(notes.c.id == -1)) is None


@pytest.mark.parametrize("column", [1, -2, "text", notes.c.text])
async def test_fetch_val_gives_the_named_column(speaker: Database, column: Any) -> None:
    assert await speaker.fetch_val(BY_ID, column=column) == "first"


async def test_fetch_val_gives_the_first_column_unless_told(speaker: Database) -> None:
    assert await speaker.fetch_val(sa.select(notes.c.text).order_by(notes.c.id)) == "first"


async def test_fetch_val_of_no_rows_is_none(speaker: Database) -> None:
    assert await speaker.fetch_val(BY_ID.where(notes.c.id == -1), column="text") is None


@pytest.mark.parametrize("column", [1, "document", typed.c.document])
async def test_fetch_val_converts_as_a_record_does(database: Database, column: Any) -> None:
    await database.execute(typed.insert().values(document={"key": [1, 2]}))

    query = sa.select(typed.c.id, typed.c.document)

    assert await database.fetch_val(query, column=column) == {"key": [1, 2]}


async def test_values_of_a_string_are_its_named_parameters(speaker: Database) -> None:
    row = await speaker.fetch_one(
        "SELECT text FROM notes WHERE text = :text AND id > :id", {"text": "second", "id": 0}
    )

    assert row is not None
    assert row["text"] == "second"


async def test_values_can_be_given_by_keyword(speaker: Database) -> None:
    query = "SELECT text FROM notes WHERE text = :text"

    rows = await speaker.fetch_all(query=query, values={"text": "third"})

    assert len(rows) == 1
    assert await speaker.fetch_val(query=query, values={"text": "third"}, column=0) == "third"


async def test_values_of_an_insert_are_its_values(speaker: Database) -> None:
    await speaker.execute(notes.insert(), {"text": "fourth", "completed": False})

    row = await speaker.fetch_one(BY_ID.where(notes.c.text == "fourth"))
    assert row is not None
    assert row["completed"] is False


async def test_values_of_an_update_are_its_values(speaker: Database) -> None:
    await speaker.execute(notes.update().where(notes.c.text == "first"), {"text": "changed"})

    assert [row["text"] for row in await speaker.fetch_all(BY_ID)] == [
        "changed",
        "second",
        "third",
    ]


async def test_values_of_another_expression_are_its_bind_parameters(speaker: Database) -> None:
    query = BY_ID.where(notes.c.text == sa.bindparam("wanted"))

    rows = await speaker.fetch_all(query, {"wanted": "second"})

    assert [row["text"] for row in rows] == ["second"]


async def test_values_of_a_delete_are_its_bind_parameters(speaker: Database) -> None:
    query = notes.delete().where(notes.c.text == sa.bindparam("unwanted"))

    await speaker.execute(query, {"unwanted": "second"})

    assert len(await speaker.fetch_all(BY_ID)) == 2


async def test_text_clause_takes_values(speaker: Database) -> None:
    query = sa.text("SELECT text FROM notes WHERE text = :text")

    assert await speaker.fetch_val(query, {"text": "second"}) == "second"
    assert await speaker.fetch_val(query.bindparams(text="third")) == "third"


async def test_execute_many_takes_a_list_of_values_and_gives_none(speaker: Database) -> None:
    result = await speaker.execute_many(  # type: ignore[func-returns-value]  # the point here
        notes.insert(), [{"text": "fourth"}, {"text": "fifth"}]
    )

    assert result is None
    assert len(await speaker.fetch_all(BY_ID)) == 5


async def test_execute_many_takes_a_string(speaker: Database) -> None:
    await speaker.execute_many(
        query="INSERT INTO notes (text) VALUES (:text)", values=[{"text": "x"}, {"text": "y"}]
    )

    texts = [row["text"] for row in await speaker.fetch_all(BY_ID)]
    assert sorted(texts) == ["first", "second", "third", "x", "y"]


async def test_iterate_is_an_asynchronous_generator_of_records(speaker: Database) -> None:
    rows = speaker.iterate(BY_ID)

    is_generator: bool = inspect.isasyncgen(rows)
    assert is_generator
    assert [row["text"] async for row in rows] == ["first", "second", "third"]


async def test_iterate_takes_values(speaker: Database) -> None:
    query = "SELECT text FROM notes WHERE text = :text"

    rows = [row async for row in speaker.iterate(query=query, values={"text": "third"})]

    assert [row["text"] for row in rows] == ["third"]
    assert isinstance(rows[0], Record)


async def test_ddl_elements_are_executed(database: Database) -> None:
    table = sa.Table("compat_ddl", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))

    await database.execute(CreateTable(table))
    await database.execute(table.insert().values(id=7))
    found = await database.fetch_val(sa.select(table.c.id))
    await database.execute(DropTable(table))

    assert found == 7


async def test_verbs_are_coroutine_functions_when_called_on_a_database(database: Database) -> None:
    pending = database.fetch_val("SELECT 1")

    assert inspect.isawaitable(pending)
    assert await pending == 1
