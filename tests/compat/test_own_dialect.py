"""A backend whose ``_get_dialect`` a program overrides, with parameters in a style of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.outside import Outside
from tests.support.tables import notes, typed


@pytest.fixture
def own(outside: Outside) -> Database:
    """Make a database whose dialect names its parameters and writes JSON in its own way."""
    database: Any = Database(outside.url)
    original: Any = type(database._backend)

    class OwnBackend(original):  # type: ignore[misc]  # known at run time
        def _get_dialect(self) -> Any:
            made = super()._get_dialect()
            return type(made)(paramstyle="pyformat", json_serializer=_with_mark)

    database._backend = OwnBackend(database.url, **database.options)
    result: Database = database
    return result


def _with_mark(value: Any) -> str:
    return json.dumps({"marked": value})


async def test_expressions_run_with_it(own: Database) -> None:
    async with own as database:
        await database.execute(notes.insert(), {"text": "100% :x", "completed": True})
        await database.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])

        like = notes.select().where(notes.c.text.like(sa.literal_column("'100%'")))
        assert [note["text"] for note in await database.fetch_all(like)] == ["100% :x"]
        listed = sa.select(notes.c.text).where(notes.c.text.in_(["a", "b"])).order_by(notes.c.text)
        assert await database.fetch_column(listed) == ["a", "b"]
        assert await database.execute(notes.delete().where(notes.c.text == "a")) in (0, 1)
        assert await database.fetch_val("SELECT COUNT(*) FROM notes WHERE text <> :t", {"t": "b"})


async def test_its_serializer_is_used(own: Database) -> None:
    async with own as database:
        await database.execute(typed.insert(), {"document": {"a": 1}})

        assert await database.fetch_val(sa.select(typed.c.document)) == {"marked": {"a": 1}}


async def test_the_synchronous_side_runs_with_it(own: Database) -> None:
    def write(connection: sa.Connection) -> Any:
        connection.execute(notes.insert(), {"text": "50%"})
        return connection.execute(notes.select().where(notes.c.text == "50%")).one().text

    async with own as database:
        assert await database.run_sync(write) == "50%"
