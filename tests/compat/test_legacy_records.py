"""Records that others build: ``Record``, ``Row`` and ``create_column_maps``."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql
from sqlalchemy.dialects.mysql import pymysql
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine.result import SimpleResultMetaData

from databases.backends.common.records import Record, Row, create_column_maps
from databases.backends.dialects.psycopg import dialect as psycopg_dialect
from databases.importer import import_from_string
from databases.interfaces import Record as RecordInterface
from tests.support.tables import Mood, typed

QUERY = sa.select(typed.c.id, typed.c.prose.label("words"), typed.c.document, typed.c.mood)
NAMES = ["id", "words", "document", "mood"]


def _columns(query: Any, dialect: Any) -> Any:
    return query.compile(dialect=dialect)._result_columns


def _row(names: list[str], values: Sequence[Any], processors: Any = None) -> Any:
    metadata = SimpleResultMetaData(names)
    return Row(metadata, processors, metadata._keymap, tuple(values))


def _record(row: Any, dialect: Any, query: Any = QUERY) -> Any:
    columns = _columns(query, dialect)
    return Record(row, columns, dialect, create_column_maps(columns))


def _postgresql() -> Any:
    make: Any = psycopg_dialect
    return make(paramstyle="pyformat")


def test_column_maps_are_by_name_by_index_and_by_text_of_the_column() -> None:
    names, indexes, texts = create_column_maps(_columns(QUERY, _postgresql()))

    assert {key: index for key, (index, _) in names.items()} == {
        "id": 0,
        "words": 1,
        "document": 2,
        "mood": 3,
    }
    assert {key: index for key, (index, _) in indexes.items()} == {0: 0, 1: 1, 2: 2, 3: 3}
    assert {key: index for key, (index, _) in texts.items()} == {
        "typed.id": 0,
        "typed.prose": 1,
        "typed.document": 2,
        "typed.mood": 3,
    }


def test_column_maps_give_the_types() -> None:
    for mapping in create_column_maps(_columns(QUERY, _postgresql())):
        assert isinstance(mapping, Mapping)
        kinds = [type(kind) for _, kind in mapping.values()]
        assert [issubclass(k, sa.types.TypeEngine) for k in kinds] == [True] * 4
        assert issubclass(kinds[2], sa.JSON)


def test_column_maps_of_no_columns_are_empty() -> None:
    assert [dict(mapping) for mapping in create_column_maps([])] == [{}, {}, {}]


@pytest.mark.parametrize("key", [1, "words", typed.c.prose])
def test_record_over_a_tuple_is_read_by_index_name_and_column(key: Any) -> None:
    record = _record((1, "text", "null", "SAD"), _postgresql())

    assert record[key] == "text"


def test_record_is_a_record_and_a_sequence() -> None:
    record = _record((1, "text", "null", "SAD"), _postgresql())

    assert isinstance(record, RecordInterface)
    assert isinstance(record, Sequence)
    assert len(record) == 4


def test_record_is_read_by_attribute() -> None:
    record = _record((1, "text", "null", "SAD"), _postgresql())

    assert (record.id, record.words) == (1, "text")


@pytest.mark.parametrize("key", ["nothing", 17])
def test_unknown_key_of_a_record_is_an_error(key: Any) -> None:
    record = _record((1, "text", "null", "SAD"), _postgresql())

    with pytest.raises(LookupError):
        record[key]


def test_unknown_attribute_of_a_record_is_an_attribute_error() -> None:
    record = _record((1, "text", "null", "SAD"), _postgresql())

    with pytest.raises(AttributeError):
        record.nothing  # noqa: B018  # reading it is the point


def test_record_over_raw_values_of_postgresql_converts_them() -> None:
    record = _record((1, "text", '{"a": [1]}', "SAD"), _postgresql())

    assert record["document"] == {"a": [1]}
    assert record["mood"] is Mood.SAD
    assert record.mood is Mood.SAD
    assert record[typed.c.mood] is Mood.SAD


@pytest.mark.parametrize("value", [{"a": [1]}, [1, 2]])
def test_record_leaves_json_that_the_driver_decoded(value: Any) -> None:
    record = _record((1, "text", value, "SAD"), _postgresql())

    assert (record["document"], record.document, record[2]) == (value, value, value)


def test_record_over_raw_values_of_postgresql_applies_type_decorators() -> None:
    query = sa.select(typed.c.shouted)

    assert _record(("loud",), _postgresql(), query)["shouted"] == "LOUD"


@pytest.mark.parametrize(
    "dialect",
    [pysqlite.dialect(), pymysql.dialect(), mssql.dialect()],  # type: ignore[no-untyped-call]
    ids=lambda dialect: dialect.name,
)
def test_record_of_another_dialect_takes_values_that_are_converted_already(dialect: Any) -> None:
    moment = datetime.datetime(2024, 2, 3, 4, 5, 6)
    query = sa.select(typed.c.document, typed.c.mood, typed.c.moment)

    record = _record(({"a": 1}, Mood.SAD, moment), dialect, query)

    assert [record[0], record["mood"], record.moment] == [{"a": 1}, Mood.SAD, moment]


def test_row_over_the_key_map_of_its_metadata_is_read_by_index_and_name() -> None:
    row = _row(NAMES, [1, "text", {}, None])

    assert (row[1], row["words"]) == ("text", "text")
    assert list(row.keys()) == NAMES
    assert list(row.values()) == [1, "text", {}, None]


def test_row_over_a_key_map_of_indexes_is_read_by_index_and_attribute() -> None:
    metadata = SimpleResultMetaData(NAMES)
    keymap = getattr(metadata, "_key_to_index", None) or {name: NAMES.index(name) for name in NAMES}

    row: Any = Row(metadata, None, keymap, (1, "text", {}, None))

    assert (row[1], row.words) == ("text", "text")
    assert dict(row._mapping) == {"id": 1, "words": "text", "document": {}, "mood": None}


def test_row_applies_its_processors() -> None:
    row = _row(["a", "b"], ["1", "2"], [int, None])

    assert (row["a"], row["b"]) == (1, "2")


def test_record_over_a_row_does_not_convert_again() -> None:
    conversions: list[Any] = []

    def loads(value: Any) -> Any:
        conversions.append(value)
        return {"loaded": value}

    row = _row(NAMES, [1, "text", "{}", Mood.SAD], [None, None, loads, None])
    record = _record(row, pysqlite.dialect())

    assert [record["document"], record.document, record[2]] == [{"loaded": "{}"}] * 3
    assert conversions == ["{}"]


def test_record_over_a_row_has_names_and_values() -> None:
    record = _record(_row(NAMES, [1, "text", {}, None]), pysqlite.dialect())

    assert list(record) == NAMES
    assert list(record.keys()) == NAMES
    assert list(record.values()) == [1, "text", {}, None]
    assert dict(record) == {"id": 1, "words": "text", "document": {}, "mood": None}
    assert {**record._mapping} == dict(record)


def test_record_over_a_row_without_column_types_is_read_by_name() -> None:
    dialect = pysqlite.dialect()
    query = sa.text("SELECT 1 AS a, 'x' AS b")

    record = _record(_row(["a", "b"], [1, "x"]), dialect, query)

    assert (record["a"], record.b, record[0]) == (1, "x", 1)
    assert dict(record) == {"a": 1, "b": "x"}


def test_record_keeps_the_row_it_was_built_from() -> None:
    row = _row(NAMES, [1, "text", {}, None])

    assert _record(row, pysqlite.dialect())._row is row


@pytest.mark.drivers("asyncpg")
async def test_record_over_a_record_of_asyncpg(database: Any) -> None:
    await database.execute(typed.insert(), {"prose": "text", "document": {"a": 1}})
    dialect = database._backend._dialect
    async with database.connection() as connection:
        raw = await connection.raw_connection.fetchrow(
            "SELECT id, prose AS words, document, mood FROM typed"
        )

    record = _record(raw, dialect)

    assert dict(record) == {"id": raw["id"], "words": "text", "document": {"a": 1}, "mood": None}
    assert record._row is raw
    assert record[typed.c.document] == {"a": 1}


@pytest.mark.parametrize(
    "name",
    [
        "databases.interfaces:Record",
        "databases.backends.common.records:Record",
        "databases.backends.postgres:Record",
        "databases.backends.sqlite:Record",
    ],
)
async def test_records_that_are_fetched_pass_for_the_named_class(database: Any, name: str) -> None:
    await database.execute(typed.insert(), {"prose": "text"})
    record = import_from_string(name)

    rows = [
        *await database.fetch_all(typed.select()),
        await database.fetch_one("SELECT prose FROM typed"),
        *[row async for row in database.iterate(typed.select())],
    ]

    assert [isinstance(row, record) for row in rows] == [True] * 3
    assert not isinstance((1, 2), record)
