"""Records: access by name, position and column, as a sequence and as a mapping."""

from __future__ import annotations

import collections.abc
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

import databases.interfaces
from databases import Database
from databases.backends.common.records import FastRecord, Row
from databases.interfaces import Record
from tests.support.outside import Outside
from tests.support.tables import accounts, notes


@pytest_asyncio.fixture(params=["core", "raw"])
async def row(request: pytest.FixtureRequest, database: Database, outside: Outside) -> Record:
    """Give one record of `accounts`: every claim holds for a Core query and for a string."""
    outside.insert(accounts, {"id": 1, "balance": 10})
    query: Any = (
        accounts.select() if request.param == "core" else "SELECT id, balance FROM accounts"
    )
    found = await database.fetch_one(query)
    assert found is not None
    return found


async def test_item_by_name(row: Record) -> None:
    assert row["id"] == 1
    assert row["balance"] == 10


async def test_item_by_position(row: Record) -> None:
    assert row[0] == 1
    assert row[1] == 10
    assert row[-1] == 10
    assert row[-2] == 1


async def test_item_by_slice(row: Record) -> None:
    assert tuple(row[0:1]) == (1,)
    assert tuple(row[:]) == (1, 10)
    assert tuple(row[::-1]) == (10, 1)


async def test_item_by_column(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    found = await database.fetch_one(accounts.select())

    assert found is not None
    assert found[accounts.c.id] == 1
    assert found[accounts.c.balance] == 10


async def test_item_by_label(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    label = (accounts.c.balance * 2).label("doubled")

    found = await database.fetch_one(sa.select(accounts.c.id.label("key"), label))

    assert found is not None
    assert found[label] == 20
    assert found["doubled"] == 20
    assert found.doubled == 20
    assert found["key"] == 1


async def test_a_column_of_another_table_is_no_column_of_the_record(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    outside.insert(notes, {"id": 2, "text": "a"})
    query: Any = sa.select(notes.c.text, accounts.c.id).select_from(notes.join(accounts, sa.true()))

    row: Any = await database.fetch_one(query)

    assert row[accounts.c.id] == row._mapping[accounts.c.id] == row["id"] == 1
    for look_up in (row, row._mapping):
        with pytest.raises(KeyError):
            look_up[notes.c.id]
    with pytest.raises(KeyError):
        await database.fetch_val(query, column=notes.c.id)


async def test_item_by_column_of_a_subquery(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = sa.select(accounts.select().subquery("inner"))

    row: Any = await database.fetch_one(query)

    assert (row[accounts.c.id], row[query.selected_columns.balance]) == (1, 10)


async def test_item_by_column_of_an_alias(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    other = accounts.alias("other")

    found = await database.fetch_one(sa.select(other.c.balance))

    assert found is not None
    assert found[other.c.balance] == 10


async def test_attribute_by_name(row: Record) -> None:
    assert row.id == 1
    assert row.balance == 10


async def test_an_unknown_item_is_a_key_error(row: Record) -> None:
    with pytest.raises(KeyError):
        row["unknown"]
    with pytest.raises(KeyError):
        row[notes.c.text]


async def test_an_unknown_position_is_an_error(row: Record) -> None:
    with pytest.raises((IndexError, KeyError)):
        row[2]
    with pytest.raises((IndexError, KeyError)):
        row[-3]


async def test_an_unknown_attribute_is_an_attribute_error(row: Record) -> None:
    with pytest.raises(AttributeError, match="unknown"):
        _ = row.unknown

    assert getattr(row, "unknown", "default") == "default"
    assert not hasattr(row, "unknown")


async def test_iterating_gives_column_names(row: Record) -> None:
    assert list(row) == ["id", "balance"]
    assert list(iter(row)) == ["id", "balance"]


async def test_dict_of_a_record(row: Record) -> None:
    assert dict(row) == {"id": 1, "balance": 10}
    assert {**row} == {"id": 1, "balance": 10}


async def test_length(row: Record) -> None:
    assert len(row) == 2
    assert bool(row)


async def test_contains_column_names(row: Record) -> None:
    assert "id" in row
    assert "unknown" not in row


async def test_keys_and_values(row: Record) -> None:
    assert list(row.keys()) == ["id", "balance"]
    assert list(row.values()) == [1, 10]
    assert dict(zip(row.keys(), row.values(), strict=True)) == dict(row)


async def test_mapping_is_a_mapping(row: Record) -> None:
    mapping = row._mapping

    assert isinstance(mapping, collections.abc.Mapping)
    assert list(mapping.keys()) == ["id", "balance"]
    assert list(mapping.values()) == [1, 10]
    assert list(mapping.items()) == [("id", 1), ("balance", 10)]
    assert mapping.get("balance") == 10
    assert mapping.get("unknown") is None
    assert mapping.get("unknown", 5) == 5
    assert mapping["id"] == 1
    assert "id" in mapping
    assert "unknown" not in mapping
    assert len(mapping) == 2
    assert list(mapping) == ["id", "balance"]
    assert {**mapping} == {"id": 1, "balance": 10}


async def test_mapping_compares_with_a_dict(row: Record) -> None:
    assert row._mapping == {"id": 1, "balance": 10}
    assert row._mapping != {"id": 1, "balance": 11}
    assert row._mapping == row._mapping


async def test_mapping_of_an_unknown_name_is_a_key_error(row: Record) -> None:
    with pytest.raises(KeyError):
        row._mapping["unknown"]


async def test_mapping_takes_columns(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    found = await database.fetch_one(accounts.select())

    assert found is not None
    assert found._mapping[accounts.c.balance] == 10


async def test_mapping_spreads_into_keywords(row: Record) -> None:
    def take(*, id: int, balance: int) -> tuple[int, int]:
        return id, balance

    assert take(**row._mapping) == (1, 10)
    assert take(**dict(row)) == (1, 10)


async def test_it_is_a_record_and_a_sequence(row: Record) -> None:
    assert isinstance(row, databases.interfaces.Record)
    assert isinstance(row, collections.abc.Sequence)


async def test_the_raw_row_is_there(row: Record) -> None:
    raw = row._row

    assert tuple(raw[:2]) == (1, 10)
    assert tuple(raw)[:2] == (1, 10)  # a record itself iterates over names
    assert dict(raw) == dict(row)
    assert (raw["balance"], raw.get("none"), next(iter(raw.items()))) == (10, None, ("id", 1))
    assert raw == tuple(raw.values()) == row._row
    assert isinstance(raw, Row)


async def test_repr_shows_names_and_values(row: Record) -> None:
    text = repr(row)

    for part in ("id", "1", "balance", "10"):
        assert part in text


async def test_a_record_cannot_be_changed(row: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        row["id"] = 2
    with pytest.raises(AttributeError):
        row.id = 2


async def test_every_verb_gives_the_same_record(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    for query in (accounts.select(), "SELECT id, balance FROM accounts"):
        all_rows = await database.fetch_all(query)
        one = await database.fetch_one(query)
        iterated = [record async for record in database.iterate(query)]

        assert all_rows == [one] == iterated
        for record in (all_rows[0], one, iterated[0]):
            assert isinstance(record, FastRecord)


async def test_null_values(database: Database, outside: Outside) -> None:
    outside.insert(notes, {"text": None, "completed": None})

    found = await database.fetch_one(sa.select(notes.c.text, notes.c.completed))

    assert found is not None
    assert dict(found) == {"text": None, "completed": None}
    assert found.text is None
    assert found[0] is None


@pytest.mark.parametrize("error", [IndexError, KeyError])
@pytest.mark.parametrize("position", [2, 9, -3])
async def test_a_position_beyond_the_columns_is_the_error_of_a_sequence_and_of_a_mapping(
    database: Database, outside: Outside, position: int, error: type[Exception]
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    for query in (accounts.select(), "SELECT id, balance FROM accounts"):
        row = await database.fetch_one(query)
        assert row is not None
        with pytest.raises(error, match=rf"^no column {position}: the record has 2 columns$"):
            row[position]
        with pytest.raises(error, match=rf"^no column {position}: the record has 2 columns$"):
            await database.fetch_val(query, column=position)
        assert row.get(position, "none") == "none"
        assert position not in row._mapping
