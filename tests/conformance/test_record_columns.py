"""Columns as keys: those of the query that was run, whatever was compiled for another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import notes

Built = tuple[Any, Any]
"""An expression, and the column of its result to ask for."""

other = sa.table("notes", sa.column("id"), sa.column("text"))


def _function() -> Built:
    count = sa.func.count(notes.c.id)
    return sa.select(count), count


def _calculation() -> Built:
    total = notes.c.id + 1
    return sa.select(total), total


def _second_of_two_alike() -> Built:
    first, second = sa.literal(6), sa.literal(7)
    return sa.select(first, second, notes.c.id), second


def _case() -> Built:
    case = sa.case((notes.c.id > 0, "one"), else_="none")
    return sa.select(notes.c.text, case), case


def _cast() -> Built:
    cast = sa.cast(notes.c.id, sa.String(10))
    return sa.select(cast), cast


def _scalar_subquery() -> Built:
    subquery = sa.select(notes.c.id).limit(1).scalar_subquery()
    return sa.select(subquery), subquery


def _window() -> Built:
    number = sa.func.row_number().over(order_by=notes.c.id)
    return sa.select(notes.c.id, number), number


def _light_table() -> Built:
    table = sa.table("notes", sa.column("id"), sa.column("text"))
    return sa.select(table), table.c.text


def _second_alias() -> Built:
    first, second = notes.alias(), notes.alias()
    columns = first.c.text.concat("!").label(None), second.c.text
    return sa.select(*columns).join_from(first, second, first.c.id == second.c.id), columns[1]


def _union() -> Built:
    count = sa.func.count(notes.c.id)
    return sa.union_all(sa.select(count), sa.select(count).where(notes.c.id < 0)), count


def _text() -> Built:
    column = sa.column("n", sa.Integer)
    return sa.text("SELECT 5 AS n").columns(column), column


BUILT = [
    (_function, 1),
    (_calculation, 2),
    (_second_of_two_alike, 7),
    (_case, "one"),
    (_cast, "1"),
    (_scalar_subquery, 1),
    (_window, 1),
    (_light_table, "hello"),
    (_second_alias, "hello"),
    (_union, 1),
    (_text, 5),
]


@pytest.fixture(autouse=True)
def one_note(outside: Outside) -> None:
    """Write one row."""
    outside.run(sa.insert(notes).values(id=1, text="hello", completed=True))


@pytest.mark.parametrize(("build", "value"), BUILT, ids=[build.__name__[1:] for build, _ in BUILT])
async def test_an_expression_that_is_built_anew_each_time(
    database: Database, build: Callable[[], Built], value: object
) -> None:
    for _ in range(3):
        query, key = build()

        record = await database.fetch_one(query)
        assert record is not None
        assert record[key] == value
        assert record._mapping[key] == value
        assert [each[key] for each in await database.fetch_all(query)][:1] == [value]
        assert [each[key] async for each in database.iterate(query)][:1] == [value]
        assert await database.fetch_val(query, column=key) == value


async def test_a_record_of_such_an_expression_is_as_any_other(database: Database) -> None:
    first, second = [await database.fetch_one(_calculation()[0]) for _ in range(2)]

    assert first is not None
    assert second is not None
    assert first == second
    assert dict(first) == dict(second)
    for key in (notes.c.text, "nothing", sa.literal(1)):
        with pytest.raises(KeyError):
            second[key]


@pytest.fixture
def define() -> Callable[..., sa.Table]:
    """Give what defines the table anew, in its place."""
    metadata = sa.MetaData()

    def define(*columns: sa.Column[Any]) -> sa.Table:
        return sa.Table("notes", metadata, *columns, extend_existing=True)

    return define


async def test_a_table_that_is_defined_anew(
    database: Database, define: Callable[..., sa.Table]
) -> None:
    for _ in range(3):
        table = define(sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String))

        record = await database.fetch_one(sa.select(table))
        assert record is not None
        assert (record[table.c.id], record._mapping[table.c.text]) == (1, "hello")


async def test_a_column_that_is_added(database: Database, define: Callable[..., sa.Table]) -> None:
    table = define(sa.Column("id", sa.Integer, primary_key=True))
    assert dict(await database.fetch_one(sa.select(table)) or {}) == {"id": 1}

    table.append_column(sa.Column("text", sa.String(100)))

    for query in (sa.select(table), sa.select(table).where(table.c.id == 1)):
        assert dict(await database.fetch_one(query) or {}) == {"id": 1, "text": "hello"}


async def test_a_column_that_gets_another_type(
    database: Database, define: Callable[..., sa.Table]
) -> None:
    insert = {"id": 2, "completed": True}
    table = define(
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.String(100)),
        sa.Column("completed", sa.Boolean),
    )
    await database.execute(sa.insert(table), {**insert, "text": "plain"})
    await database.execute(sa.delete(table).where(table.c.id == 2))

    table = define(sa.Column("text", Shout))

    await database.execute(sa.insert(table), {**insert, "text": "quiet"})
    await database.execute_many(sa.insert(table), [{**insert, "id": 3, "text": "quiet"}])
    assert (
        await database.fetch_column(sa.select(notes.c.text).where(notes.c.id > 1)) == ["QUIET"] * 2
    )
    assert (
        await database.fetch_column(sa.select(table.c.text).where(table.c.id > 1)) == ["QUIET!"] * 2
    )


class Shout(sa.TypeDecorator[str]):
    """Capital letters in the database."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, _: sa.Dialect) -> str | None:
        """Write capitals."""
        return value and value.upper()

    def process_result_value(self, value: str | None, _: sa.Dialect) -> str | None:
        """Add a mark."""
        return value and f"{value}!"


async def test_a_column_behind_its_label(database: Database) -> None:
    record = await database.fetch_one(sa.select(notes.c.id.label("number"), notes.c.text))

    assert record is not None
    assert record[notes.c.id] == 1


async def test_the_column_of_a_table_of_the_same_name(database: Database) -> None:
    same = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer))

    record = await database.fetch_one(sa.select(notes))

    assert record is not None
    assert record[same.c.id] == 1
    assert record[other.c.text] == "hello"


async def test_an_expression_that_reads_the_same(database: Database) -> None:
    one, count = sa.literal(1), sa.func.count(notes.c.id)
    query = sa.select(one, sa.literal(2), sa.literal(1), count, notes.c.id + 1)

    record = await database.fetch_one(query.group_by(notes.c.id))

    assert record is not None
    found = [record[each] for each in (one, sa.literal(2), sa.func.count(notes.c.id))]
    assert found == [1, 2, 1]
    assert record[notes.c.id + 1] == 2
    # It may be one of two, or is none.
    for each in (sa.literal(1), sa.literal(3), notes.c.id + 2, sa.func.max(notes.c.id)):
        with pytest.raises(KeyError):
            record[each]


async def test_columns_in_another_order_than_in_the_query_before(
    database: Database, outside: Outside
) -> None:
    outside.run(sa.insert(notes).values(id=2, text="bye", completed=True))
    one, two, three = notes.c.id + 1, notes.c.id + 2, notes.c.id + 3
    first, second = notes.alias(), notes.alias()

    async def read(*keys: Any, query: Any = None) -> list[Any]:
        select: Any = sa.select
        record = await database.fetch_one(select(*keys) if query is None else query)
        assert record is not None
        return [record[key] for key in keys]

    def joined(left: Any, right: Any) -> Any:
        on = left.c.id == right.c.id - 1
        return sa.select(left.c.id, right.c.id).select_from(left.join(right, on))

    assert await read(one, two) == [2, 3]
    assert await read(two, one) == [3, 2]
    assert await read(three, one) == [4, 2]
    assert await read(first.c.id, second.c.id, query=joined(first, second)) == [1, 2]
    assert await read(first.c.id, second.c.id, query=joined(second, first)) == [2, 1]
    assert await database.fetch_val(joined(second, first), column=first.c.id) == 2


@requires("insert_returning")
async def test_returned_columns_in_another_order(database: Database) -> None:
    one, two = notes.c.id + 1, notes.c.id + 2
    for keys, values in (((one, two), [102, 103]), ((two, one), [203, 202])):
        insert = sa.insert(notes).values(id=values[0] // 100 * 100 + 1, text="x", completed=True)

        record = await database.fetch_one(insert.returning(*keys))

        assert record is not None
        assert [record[key] for key in keys] == values


async def test_a_column_with_its_type_replaced_beside_it(database: Database) -> None:
    shouted = sa.type_coerce(notes.c.text, Shout)
    for _ in range(2):
        record = await database.fetch_one(sa.select(notes, shouted))

        assert record is not None
        assert (record[notes.c.text], record[shouted], record[-1]) == ("hello", "hello!", "hello!")


async def test_names_are_those_of_the_text(database: Database) -> None:
    query = sa.text("SELECT text AS a, id AS b FROM notes").columns(notes.c.text, notes.c.id)

    record = await database.fetch_one(query)

    assert record is not None
    assert dict(record) == {"a": "hello", "b": 1}
    assert (record[notes.c.text], record[notes.c.id]) == ("hello", 1)


@pytest.mark.parametrize("whole", [True, False], ids=["table", "column"])
async def test_a_foreign_key_to_a_table_that_is_defined_later(
    database: Database, outside: Outside, *, whole: bool
) -> None:
    metadata = sa.MetaData()
    referring: Any = sa.Table(
        "notes",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.ForeignKey("words.word")),
    )

    async def read() -> Any:
        record = await database.fetch_one(sa.select(referring if whole else referring.c.text))
        assert record is not None
        return record["text"]

    assert await read() == "hello"
    sa.Table("words", metadata, sa.Column("word", Shout, primary_key=True))
    assert [await read() for _ in range(2)] == ["hello!"] * 2
