"""Records whose column names are doubled, odd, or names of methods."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.outside import Outside
from tests.support.tables import accounts, codes, notes, odd

ODD_NAMES = [column.name for column in odd.columns if column.name != "id"]


async def fill_odd(outside: Outside) -> dict[str, int]:
    """Insert one row of `odd` and give its values."""
    values = {name: number for number, name in enumerate(["id", *ODD_NAMES], start=1)}
    outside.insert(odd, values)
    return values


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_an_odd_name_is_reachable_by_item(
    database: Database, outside: Outside, name: str
) -> None:
    values = await fill_odd(outside)

    row = await database.fetch_one(odd.select())

    assert row is not None
    assert row[name] == values[name]
    assert row[odd.c[name]] == values[name]
    assert row._mapping[name] == values[name]
    assert await database.fetch_val(odd.select(), column=name) == values[name]


async def test_dict_of_odd_names(database: Database, outside: Outside) -> None:
    values = await fill_odd(outside)

    row = await database.fetch_one(odd.select())

    assert row is not None
    assert dict(row) == values
    assert dict(row._mapping) == values


async def test_odd_names_can_be_written(database: Database, outside: Outside) -> None:
    values = {name: number for number, name in enumerate(["id", *ODD_NAMES], start=1)}

    await database.execute(odd.insert().values(values))
    await database.execute(odd.update().where(odd.c["per%cent"] > 0), {"with:colon": 500})
    await database.execute_many(odd.insert(), [{**values, "id": 2}])

    rows = outside.rows(sa.select(odd.c.id, odd.c["with:colon"]).order_by(odd.c.id))
    assert rows == [(1, 500), (2, values["with:colon"])]


async def test_method_names_keep_working_beside_columns_of_that_name(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    row = await database.fetch_one(
        'SELECT id AS "keys", balance AS index_, 5 AS extra FROM accounts'
    )

    assert row is not None
    assert row["keys"] == 1
    assert list(row) == ["keys", "index_", "extra"]
    assert list(row._mapping) == ["keys", "index_", "extra"]


async def test_count_and_index_as_raw_columns(database: Database) -> None:
    row = await database.fetch_one("SELECT 3 AS count, 4 AS idx, 5 AS items")

    assert row is not None
    assert row["count"] == 3
    assert row["items"] == 5
    assert row._mapping["count"] == 3
    assert await database.fetch_val("SELECT 3 AS count", column="count") == 3


async def test_two_columns_of_one_name_are_both_kept(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    outside.insert(codes, {"id": 2, "code": "x"})
    query = "SELECT a.id, c.id, c.code FROM accounts a CROSS JOIN codes c"

    row = await database.fetch_one(query)

    assert row is not None
    assert len(row) == 3
    assert list(row._mapping.keys()) == ["id", "id", "code"]
    assert list(row.values()) == [1, 2, "x"]
    assert row["id"] == 1
    assert row.id == 1
    assert row._mapping["id"] == 1
    assert (row[0], row[1], row[2]) == (1, 2, "x")
    assert await database.fetch_val(query, column="id") == 1
    assert await database.fetch_val(query, column=1) == 2


async def test_two_core_columns_of_one_name_are_both_reachable(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    outside.insert(codes, {"id": 2, "code": "x"})
    query = sa.select(accounts.c.id, codes.c.id).join_from(accounts, codes, sa.true())

    row = await database.fetch_one(query)

    assert row is not None
    assert len(row) == 2
    assert list(row.values()) == [1, 2]
    assert row[0] == 1
    assert row[1] == 2
    assert row[accounts.c.id] == 1
    assert row[codes.c.id] == 2


async def test_two_labels_of_one_name_are_both_kept(database: Database) -> None:
    query = sa.select(sa.literal(1).label("same"), sa.literal(2).label("same"))

    row = await database.fetch_one(query)

    assert row is not None
    assert list(row.values()) == [1, 2]
    assert list(row._mapping.keys()) == ["same", "same"]
    assert row["same"] == 1


async def test_an_expression_without_a_name(database: Database) -> None:
    row = await database.fetch_one("SELECT 1 + 1")

    assert row is not None
    assert row[0] == 2
    assert len(list(row._mapping.keys())) == 1


async def test_names_keep_their_case(database: Database, outside: Outside) -> None:
    await fill_odd(outside)

    row = await database.fetch_one(sa.select(odd.c.MixedCase))

    assert row is not None
    assert list(row) == ["MixedCase"]
    assert "mixedcase" not in row


async def test_a_record_of_many_columns(database: Database) -> None:
    query = "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(200))

    row = await database.fetch_one(query)

    assert row is not None
    assert dict(row) == {f"c{number}": number for number in range(200)}
    assert row.c199 == 199


_QUOTED = sa.table(
    "notes", sa.column("id"), sa.column(sa.sql.quoted_name("text", quote=True), sa.String)
)
_LABELLED = sa.select(notes.c.id, notes.c.text.label(sa.sql.quoted_name("text", quote=True)))


@pytest.mark.parametrize(
    "query",
    [
        notes.select(),
        sa.select(_QUOTED),
        _LABELLED,
        sa.select(notes.c.id, notes.c.text.label("long_" * 20)),
        sa.select(notes, sa.literal_column("notes.*")),
        sa.select(sa.func.lower(notes.c.text), notes.c.text + "x", sa.text("'a' AS name")),
        sa.text("SELECT * FROM notes").columns(notes.c.id, _QUOTED.c.text),
        "SELECT * FROM notes",
    ],
)
async def test_names_are_plain_strings(database: Database, outside: Outside, query: Any) -> None:
    """Serializers that write JSON or YAML take no other class as a key."""
    outside.insert(notes, {"id": 1, "text": "x", "completed": True})

    row = await database.fetch_one(query)
    (result,) = (await database.run(query)).rows

    assert row is not None
    for names in (row, row.keys(), row._mapping, row._row.keys(), dict(row), result, result.keys()):
        assert {type(name) for name in names} == {str}
    assert "quoted_name" not in repr(row)


async def test_columns_named_as_methods_of_a_mapping_are_attributes(database: Database) -> None:
    row: Any = await database.fetch_one("SELECT 1 AS items, 2 AS get, 3 AS id")

    assert (row.items, row.get, row.id) == (1, 2, 3)
    assert dict(row) == dict(row._mapping.items()) == {"items": 1, "get": 2, "id": 3}
    assert ("get" in row._mapping, row._mapping.get("none")) == (True, None)
    other: Any = await database.fetch_one("SELECT 3 AS id")
    assert (list(other.items()), other.get("id"), other.get("x")) == ([("id", 3)], 3, None)
