"""Python-side defaults and `onupdate` of columns."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa

from databases import Database
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import defaulted, things

CHANGED = datetime.datetime(2024, 2, 3, 4, 5, 6)


async def test_insert_fills_a_constant_default(database: Database, outside: Outside) -> None:
    await database.execute(defaulted.insert().values(name="x"))

    assert outside.rows(sa.select(defaulted.c.constant)) == [(42,)]


async def test_insert_calls_a_default_for_each_statement(
    database: Database, outside: Outside
) -> None:
    await database.execute(defaulted.insert().values(name="x"))
    await database.execute(defaulted.insert().values(name="y"))

    tokens = outside.column(defaulted.c.token)
    assert all(len(token) == 32 for token in tokens)
    assert len(set(tokens)) == 2


async def test_a_default_can_read_the_other_values(database: Database, outside: Outside) -> None:
    await database.execute(defaulted.insert().values(name="x"))
    await database.execute(defaulted.insert(), {"name": "y"})

    assert outside.column(defaulted.c.echo) == ["echo of x", "echo of y"]


async def test_insert_fills_a_default_that_is_an_sql_expression(
    database: Database, outside: Outside
) -> None:
    await database.execute(defaulted.insert().values(name="x"))

    assert outside.rows(sa.select(defaulted.c.computed)) == [(42,)]


async def test_server_defaults_are_left_to_the_server(database: Database, outside: Outside) -> None:
    await database.execute(defaulted.insert().values(name="x"))
    await database.execute_many(defaulted.insert(), [{"name": "y"}])

    assert outside.column(defaulted.c.served) == [7, 7]


async def test_given_values_win_over_defaults(database: Database, outside: Outside) -> None:
    await database.execute(
        defaulted.insert().values(name="x", constant=1, token="mine", echo="mine")
    )
    await database.execute(defaulted.insert(), {"name": "y", "constant": None})

    query = sa.select(defaulted.c.name, defaulted.c.constant).order_by(defaulted.c.name)
    assert outside.rows(query) == [("x", 1), ("y", None)]


async def test_a_key_default_is_written(database: Database, outside: Outside) -> None:
    await database.execute(things.insert().values(name="x"))
    await database.execute_many(things.insert(), [{"name": "y"}, {"name": "z"}])

    keys = [key for (key,) in outside.rows(sa.select(things.c.id))]
    assert len(set(keys)) == 3


async def test_execute_many_fills_defaults_for_each_row(
    database: Database, outside: Outside
) -> None:
    await database.execute_many(defaulted.insert(), [{"name": name} for name in "abc"])

    tokens = outside.column(defaulted.c.token)
    assert len(set(tokens)) == 3
    assert all(len(token) == 32 for token in tokens)
    assert outside.column(defaulted.c.constant) == [42, 42, 42]
    assert outside.column(defaulted.c.echo) == ["echo of a", "echo of b", "echo of c"]


async def test_execute_many_takes_rows_of_different_keys(
    database: Database, outside: Outside
) -> None:
    await database.execute_many(
        defaulted.insert(),
        [
            {"name": "a"},
            {"name": "b", "constant": 1},
            {"constant": 2, "name": "c", "served": 3},
            {"name": "d"},
        ],
    )

    query = sa.select(defaulted.c.name, defaulted.c.constant, defaulted.c.served)
    assert outside.rows(query.order_by(defaulted.c.name)) == [
        ("a", 42, 7),
        ("b", 1, 7),
        ("c", 2, 3),
        ("d", 42, 7),
    ]


async def test_insert_of_several_rows_fills_defaults_for_each(
    database: Database, outside: Outside
) -> None:
    await database.execute(defaulted.insert().values([{"name": "a"}, {"name": "b"}]))

    assert outside.column(defaulted.c.constant) == [42, 42]
    assert len(set(outside.column(defaulted.c.token))) == 2


async def test_update_applies_onupdate(database: Database, outside: Outside) -> None:
    outside.insert(defaulted, {"name": "a", "revision": 0})

    await database.execute(defaulted.update().values(name="b"))

    row = outside.rows(sa.select(defaulted.c.name, defaulted.c.revision, defaulted.c.changed))[0]
    assert row[0] == "b"
    assert row[1] > 0
    assert row[2] == CHANGED


async def test_update_applies_onupdate_once_per_statement(
    database: Database, outside: Outside
) -> None:
    outside.insert(defaulted, {"name": "a", "revision": 0})

    revisions = []
    for _ in range(3):
        await database.execute(defaulted.update().values(name="b"))
        revisions.append(outside.value(sa.select(defaulted.c.revision)))

    assert revisions == [revisions[0], revisions[0] + 1, revisions[0] + 2]


async def test_given_values_win_over_onupdate(database: Database, outside: Outside) -> None:
    outside.insert(defaulted, {"name": "a", "revision": 0})

    await database.execute(defaulted.update(), {"revision": -5})

    assert outside.rows(sa.select(defaulted.c.revision, defaulted.c.changed)) == [(-5, CHANGED)]


async def test_execute_many_of_an_update_applies_onupdate(
    database: Database, outside: Outside
) -> None:
    outside.insert(defaulted, {"name": "a", "revision": 0}, {"name": "b", "revision": 0})
    query = defaulted.update().where(defaulted.c.name == sa.bindparam("old"))

    await database.execute_many(
        query.values(name=sa.bindparam("new")),
        [{"old": "a", "new": "c"}, {"old": "b", "new": "d"}],
    )

    found = outside.rows(sa.select(defaulted.c.name, defaulted.c.changed))
    assert sorted(found) == [("c", CHANGED), ("d", CHANGED)]
    assert len(set(outside.column(defaulted.c.revision))) == 2


async def test_update_does_not_apply_insert_defaults(database: Database, outside: Outside) -> None:
    outside.insert(defaulted, {"name": "a", "constant": 1, "token": "kept"})

    await database.execute(defaulted.update().values(name="b"))

    assert outside.rows(sa.select(defaulted.c.constant, defaulted.c.token)) == [(1, "kept")]


@requires("insert_returning")
async def test_defaults_can_be_returned(database: Database) -> None:
    query = defaulted.insert().values(name="x")

    row = await database.fetch_one(query.returning(defaulted.c.constant, defaulted.c.echo))

    assert row is not None
    assert dict(row) == {"constant": 42, "echo": "echo of x"}


async def test_a_default_is_converted_by_its_columns_type(
    database: Database, outside: Outside
) -> None:
    table = sa.Table(
        "typed",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("document", sa.JSON, default=lambda: {"made": ["by", "default"]}),
        sa.Column("lapse", sa.Interval, default=datetime.timedelta(hours=1)),
    )

    await database.execute(table.insert().values())
    await database.execute_many(table.insert(), [{}])

    expected: tuple[Any, ...] = ({"made": ["by", "default"]}, datetime.timedelta(hours=1))
    assert outside.rows(sa.select(table.c.document, table.c.lapse)) == [expected, expected]


@requires("sequences")
async def test_a_sequence_is_a_default(database: Database) -> None:
    table = sa.Table(
        "numbered",
        sa.MetaData(),
        sa.Column("id", sa.Integer, sa.Sequence("numbers"), primary_key=True),
        sa.Column("number", sa.Integer, sa.Sequence("numbers")),
        prefixes=["TEMPORARY"],
    )
    async with database.connection() as connection:
        await connection.execute("CREATE TEMPORARY SEQUENCE numbers START 5")
        await connection.execute(sa.schema.CreateTable(table))

        await connection.execute(table.insert().values())
        await connection.execute_many(table.insert(), [{}, {}])

        rows = await connection.fetch_all(sa.select(table.c.id, table.c.number))
    assert sorted(number for row in rows for number in row.values()) == [5, 6, 7, 8, 9, 10]
