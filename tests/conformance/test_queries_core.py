"""The five query verbs with SQLAlchemy Core expressions."""

from __future__ import annotations

import sqlalchemy as sa

from databases import Database
from tests.support.outside import Outside
from tests.support.tables import accounts, notes

THREE_NOTES = [
    {"text": "example1", "completed": True},
    {"text": "example2", "completed": False},
    {"text": "example3", "completed": True},
]


async def test_fetch_all_gives_every_row_in_order(database: Database, outside: Outside) -> None:
    outside.insert(notes, *THREE_NOTES)

    rows = await database.fetch_all(notes.select().order_by(notes.c.text))

    assert [(row["text"], row["completed"]) for row in rows] == [
        ("example1", True),
        ("example2", False),
        ("example3", True),
    ]


async def test_fetch_all_of_nothing_is_an_empty_list(database: Database) -> None:
    assert await database.fetch_all(notes.select()) == []


async def test_fetch_one_gives_the_first_row(database: Database, outside: Outside) -> None:
    outside.insert(notes, *THREE_NOTES)

    row = await database.fetch_one(notes.select().order_by(notes.c.text.desc()))

    assert row is not None
    assert row["text"] == "example3"


async def test_fetch_one_of_nothing_is_none(database: Database) -> None:
    assert await database.fetch_one(notes.select()) is None


async def test_fetch_val_gives_the_first_column_of_the_first_row(
    database: Database, outside: Outside
) -> None:
    outside.insert(notes, *THREE_NOTES)

    value = await database.fetch_val(sa.select(notes.c.text).order_by(notes.c.text))

    assert value == "example1"


async def test_fetch_val_takes_an_index_a_name_or_a_column(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 7, "balance": 70})

    query = accounts.select()

    assert await database.fetch_val(query, column=0) == 7
    assert await database.fetch_val(query, column=1) == 70
    assert await database.fetch_val(query, column="balance") == 70
    assert await database.fetch_val(query, column=accounts.c.balance) == 70


async def test_fetch_val_of_nothing_is_none(database: Database) -> None:
    assert await database.fetch_val(sa.select(notes.c.text)) is None
    assert await database.fetch_val(sa.select(notes.c.text), column="text") is None


async def test_fetch_val_of_a_null_is_none(database: Database, outside: Outside) -> None:
    outside.insert(notes, {"text": None})

    assert await database.fetch_val(sa.select(notes.c.text)) is None


async def test_execute_insert_with_values_in_the_expression(
    database: Database, outside: Outside
) -> None:
    await database.execute(notes.insert().values(text="inside", completed=True))

    assert outside.rows(sa.select(notes.c.text, notes.c.completed)) == [("inside", True)]


async def test_execute_insert_with_values_apart(database: Database, outside: Outside) -> None:
    await database.execute(notes.insert(), {"text": "apart", "completed": False})

    assert outside.rows(sa.select(notes.c.text, notes.c.completed)) == [("apart", False)]


async def test_execute_insert_adds_values_to_those_in_the_expression(
    database: Database, outside: Outside
) -> None:
    await database.execute(notes.insert().values(text="both"), {"completed": True})

    assert outside.rows(sa.select(notes.c.text, notes.c.completed)) == [("both", True)]


async def test_execute_insert_of_several_rows_in_one_statement(
    database: Database, outside: Outside
) -> None:
    await database.execute(notes.insert().values(THREE_NOTES))

    assert outside.column(notes.c.text) == ["example1", "example2", "example3"]


async def test_execute_insert_without_values_takes_the_defaults(
    database: Database, outside: Outside
) -> None:
    await database.execute(notes.insert().values())

    assert outside.rows(sa.select(notes.c.text, notes.c.completed)) == [(None, None)]


async def test_execute_update_takes_values_apart(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 1}, {"id": 2, "balance": 2})

    await database.execute(accounts.update().where(accounts.c.id == 2), {"balance": 20})

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 1), (2, 20)]


async def test_execute_update_may_use_the_columns_own_value(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    await database.execute(accounts.update().values(balance=accounts.c.balance + 5))

    assert outside.rows(accounts.select()) == [(1, 15)]


async def test_execute_delete(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 1}, {"id": 2, "balance": 2})

    await database.execute(accounts.delete().where(accounts.c.id == 1))

    assert outside.rows(accounts.select()) == [(2, 2)]


async def test_execute_many_inserts_every_row(database: Database, outside: Outside) -> None:
    await database.execute_many(notes.insert(), THREE_NOTES)

    assert outside.column(notes.c.text) == ["example1", "example2", "example3"]


async def test_iterate_gives_the_rows_of_fetch_all(database: Database, outside: Outside) -> None:
    outside.insert(notes, *THREE_NOTES)
    query = notes.select().order_by(notes.c.id)

    iterated = [record async for record in database.iterate(query)]

    assert iterated == await database.fetch_all(query)


async def test_iterate_takes_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 1}, {"id": 2, "balance": 2})
    query = accounts.select().where(accounts.c.id == sa.bindparam("wanted"))

    found = [record["id"] async for record in database.iterate(query, {"wanted": 2})]

    assert found == [2]


async def test_same_query_with_other_literals_gives_other_rows(
    database: Database, outside: Outside
) -> None:
    """Statements are remembered by their shape: the values must not be."""
    outside.insert(accounts, *({"id": key, "balance": key * 10} for key in range(1, 6)))

    for key in (3, 1, 5, 2, 4):
        query = sa.select(accounts.c.balance).where(accounts.c.id == key)
        assert await database.fetch_val(query) == key * 10


async def test_same_in_query_with_other_lengths_gives_other_rows(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, *({"id": key, "balance": 0} for key in range(1, 6)))

    for wanted in ([1], [1, 2, 3], [], [4, 5], [2, 3, 4, 5, 1]):
        query = sa.select(accounts.c.id).where(accounts.c.id.in_(wanted))
        rows = await database.fetch_all(query)
        assert sorted(row["id"] for row in rows) == sorted(wanted)


async def test_limit_and_offset_change_between_runs(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *({"id": key, "balance": 0} for key in range(1, 6)))

    for offset in range(5):
        query = sa.select(accounts.c.id).order_by(accounts.c.id).limit(1).offset(offset)
        assert await database.fetch_val(query) == offset + 1
