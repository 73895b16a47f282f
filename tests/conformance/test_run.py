"""`run()`: all that is known of what a statement did, by kind of statement."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.interfaces import Record
from databases.results import Result
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import Mood, accounts, codes, notes, pairs, things, typed, words

BY_ID = notes.select().order_by(notes.c.id)
TWO = ({"id": 1, "text": "one"}, {"id": 2, "text": "two"})


def _put(outside: Outside) -> None:
    for row in TWO:
        outside.insert(notes, row)


@pytest.mark.parametrize("query", [BY_ID, "SELECT id, text FROM notes ORDER BY id"])
async def test_select_gives_its_rows(database: Database, outside: Outside, query: Any) -> None:
    _put(outside)

    result = await database.run(query)

    assert [(row["id"], row.text) for row in result.rows] == [(1, "one"), (2, "two")]
    assert all(isinstance(row, Record) for row in result.rows)
    assert (result.rowcount, result.lastrowid, result.inserted_primary_key) == (2, None, None)


async def test_select_of_nothing_gives_no_rows(database: Database) -> None:
    assert await database.run(BY_ID) == Result(0, None, None, [])


async def test_rows_are_converted(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"mood": Mood.SAD, "document": {"a": [1]}})

    result = await database.run(sa.select(typed.c.mood, typed.c.document))

    assert dict(result.rows[0]) == {"mood": Mood.SAD, "document": {"a": [1]}}


@pytest.mark.parametrize(
    "query", [notes.update().values(text="new"), "UPDATE notes SET text = 'new'", notes.delete()]
)
async def test_update_and_delete_give_the_row_count(
    database: Database, outside: Outside, query: Any
) -> None:
    _put(outside)

    assert await database.run(query) == Result(2, None, None, [])
    assert await database.run(notes.delete().where(notes.c.id == 9)) == Result(0, None, None, [])


async def test_insert_gives_the_row_count_and_no_rows(database: Database) -> None:
    result = await database.run(notes.insert(), {"text": "one"})

    assert (result.rowcount, result.rows) == (1, [])


async def test_insert_gives_the_new_primary_key(database: Database, outside: Outside) -> None:
    first = await database.run(notes.insert().values(text="one"))
    second = await database.run(notes.insert(), {"text": "two"})

    assert outside.rows(sa.select(notes.c.id).order_by(notes.c.id)) == [
        first.inserted_primary_key,
        second.inserted_primary_key,
    ]


@requires("raw_insert_returns_key")
@pytest.mark.parametrize("query", [notes.insert(), "INSERT INTO notes (text) VALUES (:text)"])
async def test_insert_gives_the_row_id_where_there_is_one(
    database: Database, outside: Outside, query: Any
) -> None:
    result = await database.run(query, {"text": "one"})

    assert outside.rows(sa.select(notes.c.id)) == [(result.lastrowid,)]


async def test_a_key_that_was_given_is_told(database: Database) -> None:
    by_expression = await database.run(words.insert().values(word="key", meaning="opens"))
    by_values = await database.run(accounts.insert(), {"id": 77, "balance": 1})

    assert by_expression.inserted_primary_key == ("key",)
    assert by_values.inserted_primary_key == (77,)


async def test_a_key_that_a_default_made_is_told(database: Database, outside: Outside) -> None:
    result = await database.run(things.insert().values(name="x"))

    assert outside.rows(sa.select(things.c.id)) == [result.inserted_primary_key]
    assert isinstance(outside.rows(sa.select(things.c.id))[0][0], uuid.UUID)


async def test_every_column_of_a_composite_key_is_told(database: Database) -> None:
    result = await database.run(pairs.insert(), {"right": 6, "left": 5})

    assert result.inserted_primary_key == (5, 6)


async def test_no_key_is_told_of_many_rows(database: Database) -> None:
    many = notes.insert().values([{"text": "a"}, {"text": "b"}])
    copied = notes.insert().from_select(["text"], sa.select(notes.c.text))

    for query in (many, copied):
        result = await database.run(query)

        assert (result.rowcount, result.inserted_primary_key) == (2, None)


async def test_no_key_is_told_of_a_string(database: Database) -> None:
    result = await database.run("INSERT INTO notes (id, text) VALUES (5, 'x')")

    assert (result.rowcount, result.inserted_primary_key) == (1, None)


@requires("insert_returning")
async def test_rows_of_returning_are_given_and_tell_the_key(database: Database) -> None:
    query = notes.insert().values(text="one").returning(notes.c.text, notes.c.id)

    result = await database.run(query)

    (row,) = result.rows
    assert (row.text, result.rowcount) == ("one", 1)
    assert result.inserted_primary_key == (row.id,)


@requires("insert_returning")
async def test_returning_without_the_key_tells_none_unless_it_was_given(
    database: Database,
) -> None:
    unknown = await database.run(codes.insert().values(code="a").returning(codes.c.code))
    given = await database.run(codes.insert().values(id=7, code="b").returning(codes.c.code))

    assert [unknown.rows[0].code, given.rows[0].code] == ["a", "b"]
    assert unknown.inserted_primary_key is None
    assert given.inserted_primary_key == (7,)


@requires("update_returning")
async def test_rows_of_an_update_are_given(database: Database, outside: Outside) -> None:
    _put(outside)

    result = await database.run("UPDATE notes SET text = 'new' RETURNING id")

    assert sorted(row["id"] for row in result.rows) == [1, 2]
    assert (result.rowcount, result.inserted_primary_key) == (2, None)


async def test_ddl_gives_nothing(database: Database, outside: Outside) -> None:
    result = await database.run("CREATE TABLE made_by_run (id INTEGER)")

    assert result.rows == []
    assert not result.rowcount
    assert (result.lastrowid, result.inserted_primary_key) == (None, None)
    await database.run("DROP TABLE made_by_run")


async def test_a_connection_runs_too_and_inside_a_transaction(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        async with connection.transaction(force_rollback=True):
            result = await connection.run(notes.insert(), {"id": 3, "text": "x"}, timeout=30)
            assert result.inserted_primary_key == (3,)
            assert (await database.run(BY_ID)).rowcount == 1

    assert outside.rows(BY_ID) == []


async def test_an_error_leaves_the_database_usable(database: Database, driver: DriverCase) -> None:
    await database.run(words.insert(), {"word": "a"})

    with pytest.raises(driver.integrity_error):
        await database.run(words.insert(), {"word": "a"})

    assert (await database.run(words.select())).rowcount == 1


async def test_a_result_cannot_be_changed(database: Database) -> None:
    result: Any = await database.run("SELECT 1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        result.rowcount = 5
    assert not hasattr(result, "__dict__")
