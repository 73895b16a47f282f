"""Column types: what is written comes back, the same through every view."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import Counted, Mood, typed

VALUES: dict[str, Any] = {
    "document": {"a": [1, 2.5, None, True], "b": {"ü": "\N{SNOWMAN}"}},
    "mood": Mood.HAPPY,
    "choice": "green",
    "price": decimal.Decimal("12345.6789"),
    "ratio": 0.1,
    "identifier": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "moment": datetime.datetime(2024, 2, 29, 23, 59, 58),
    "day": datetime.date(2024, 2, 29),
    "clock": datetime.time(23, 59, 58),
    "lapse": datetime.timedelta(days=3, hours=4, seconds=5),
    "blob": bytes(range(256)),
    "flag": True,
    "big": 2**62,
    "prose": "long \N{SNOWMAN} \N{PILE OF POO} text\nwith 'quotes' and \\ and %",
    "shouted": "LOUD",
}

OTHER_VALUES: dict[str, Any] = {
    "document": [],
    "mood": Mood.SAD,
    "choice": "red",
    "price": decimal.Decimal("-0.0001"),
    "ratio": -1.5e300,
    "identifier": uuid.UUID(int=0),
    "moment": datetime.datetime(1999, 1, 1, 0, 0, 0),
    "day": datetime.date(1970, 1, 1),
    "clock": datetime.time(0, 0, 0),
    "lapse": datetime.timedelta(0),
    "blob": b"",
    "flag": False,
    "big": -(2**63),
    "prose": "",
    "shouted": "",
}

NAMES = list(VALUES)


@pytest.mark.parametrize("values", [VALUES, OTHER_VALUES], ids=["values", "edges"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_value_comes_back_as_it_was_written(
    database: Database, name: str, values: dict[str, Any]
) -> None:
    value = values[name]
    await database.execute(typed.insert().values({name: value}))
    query = sa.select(typed.c[name])

    found = await database.fetch_val(query)

    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize("name", NAMES)
async def test_a_value_is_stored_as_sqlalchemy_stores_it(
    database: Database, outside: Outside, name: str
) -> None:
    await database.execute(typed.insert().values({name: VALUES[name]}))

    assert outside.value(sa.select(typed.c[name])) == VALUES[name]


@pytest.mark.parametrize("name", NAMES)
async def test_every_view_gives_the_same_value(
    database: Database, outside: Outside, name: str
) -> None:
    value = VALUES[name]
    outside.insert(typed, {name: value})
    query = sa.select(typed.c[name], typed.c.id)

    row = await database.fetch_one(query)
    all_rows = await database.fetch_all(query)
    iterated = [record async for record in database.iterate(query)]

    assert row is not None
    for record in (row, all_rows[0], iterated[0]):
        assert record[name] == value
        assert record[0] == value
        assert record[-2] == value
        assert record[typed.c[name]] == value
        assert getattr(record, name) == value
        assert record._mapping[name] == value
        assert record._mapping.get(name) == value
        assert next(iter(record._mapping.values())) == value
        assert next(iter(record.values())) == value
        assert record[:1][0] == value
        assert dict(record)[name] == value
    assert await database.fetch_val(query) == value
    assert await database.fetch_val(query, column=name) == value
    assert await database.fetch_val(query, column=typed.c[name]) == value


@pytest.mark.parametrize("name", [*NAMES, "counted"])
async def test_null_comes_back_as_none(database: Database, outside: Outside, name: str) -> None:
    """JSON is asked for SQL NULL: its own null is another value."""
    null = sa.null() if name == "document" else None
    await database.execute(typed.insert().values({name: null}))

    assert outside.value(sa.select(sa.func.count()).where(typed.c[name].is_(None))) == 1
    assert await database.fetch_val(sa.select(typed.c[name])) is None
    row = await database.fetch_one(typed.select())
    assert row is not None
    assert row[name] is None


async def test_a_whole_row_of_every_type(database: Database) -> None:
    await database.execute(typed.insert().values(VALUES))
    await database.execute_many(typed.insert(), [OTHER_VALUES, dict.fromkeys(NAMES)])

    rows = await database.fetch_all(typed.select().order_by(typed.c.id))

    assert [{name: row[name] for name in NAMES} for row in rows] == [
        VALUES,
        OTHER_VALUES,
        dict.fromkeys(NAMES),
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("document", "ratio")])
async def test_a_value_can_be_searched_for(database: Database, outside: Outside, name: str) -> None:
    """Not JSON documents and floats: SQL does not compare them for equality."""
    outside.insert(typed, {name: VALUES[name]})
    outside.insert(typed, {name: OTHER_VALUES[name]})
    column = typed.c[name]

    for value in (VALUES[name], OTHER_VALUES[name]):
        equal = await database.fetch_all(sa.select(column).where(column == value))
        among = await database.fetch_all(sa.select(column).where(column.in_([value])))
        bound = await database.fetch_all(
            sa.select(column).where(column == sa.bindparam("wanted", type_=column.type)),
            {"wanted": value},
        )
        assert [row[0] for row in equal] == [value]
        assert [row[0] for row in among] == [value]
        assert [row[0] for row in bound] == [value]


@pytest.mark.parametrize(
    "document", [None, 0, "text", True, [1, [2]], {}, {"k": None}, '"quoted"', "ü☃"]
)
async def test_json_documents_of_every_kind(database: Database, document: Any) -> None:
    await database.execute(typed.insert(), {"document": document})
    await database.execute_many(typed.insert(), [{"document": document}])

    rows = await database.fetch_all(sa.select(typed.c.document))

    assert [row["document"] for row in rows] == [document, document]


@requires("native_json")
async def test_json_can_be_looked_into(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"document": {"a": {"b": 5}}})
    query = sa.select(typed.c.document["a"]["b"].as_integer())

    assert await database.fetch_val(query) == 5
    assert await database.fetch_val(sa.select(typed.c.document["a"])) == {"b": 5}


async def test_each_value_is_converted_once(database: Database, outside: Outside) -> None:
    outside.insert(typed, *({"counted": number} for number in range(5)))
    Counted.conversions = 0

    rows = await database.fetch_all(sa.select(typed.c.counted).order_by(typed.c.id))
    for row in rows:
        assert row["counted"] == row[0] == row.counted == row._mapping["counted"]
        list(row.values())

    assert [row["counted"] for row in rows] == [1000, 1001, 1002, 1003, 1004]
    assert Counted.conversions == 5


async def test_labels_and_subqueries_keep_the_type(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"mood": Mood.SAD, "shouted": "Loud"})
    inner = sa.select(typed.c.mood.label("feeling"), typed.c.shouted).subquery()

    row = await database.fetch_one(sa.select(inner.c.feeling, inner.c.shouted.label("said")))

    assert row is not None
    assert dict(row) == {"feeling": Mood.SAD, "said": "LOUD"}


async def test_the_type_of_a_function_is_applied(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"price": decimal.Decimal("1.5")}, {"price": decimal.Decimal("2.25")})

    total = await database.fetch_val(sa.select(sa.func.sum(typed.c.price)))

    assert total == decimal.Decimal("3.75")
    assert isinstance(total, decimal.Decimal)


async def test_a_type_coercion_is_applied(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"shouted": "Loud"})

    query = sa.select(sa.type_coerce(typed.c.shouted, sa.String))

    assert await database.fetch_val(query) == "loud"


@requires("timezones")
async def test_a_timestamp_keeps_its_time_zone(database: Database) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=5))
    moment = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=zone)
    await database.execute(typed.insert().values(zoned=moment))

    found = await database.fetch_val(sa.select(typed.c.zoned))

    assert found == moment
    assert found.tzinfo is not None


@requires("timezones")
async def test_microseconds_are_kept(database: Database) -> None:
    moment = datetime.datetime(2024, 2, 29, 12, 0, 0, 123456)
    await database.execute(typed.insert().values(moment=moment, clock=moment.time()))

    row = await database.fetch_one(sa.select(typed.c.moment, typed.c.clock))

    assert row is not None
    assert dict(row) == {"moment": moment, "clock": moment.time()}


class Undecided(sa.TypeDecorator[str]):
    """A type that does not say ``cache_ok``."""

    impl = sa.String(100)

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and f"<{value}>"


async def test_a_type_that_says_nothing_of_caching_works_where_warnings_are_errors(
    database: Database,
) -> None:
    column = sa.literal_column("'a'", Undecided())
    bound = sa.bindparam("given", type_=Undecided())

    query = sa.select(sa.literal("<b>").label("b")).where(column == "x").where(column != bound)

    assert await database.fetch_all(query, {"given": "a"}) == []
