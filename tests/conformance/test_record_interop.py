"""Records outside the library: pickle, copy, comparison, pydantic, FastAPI."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import fastapi
import fastapi.encoders
import httpx
import pydantic
import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database
from databases.interfaces import Record
from tests.support.outside import Outside
from tests.support.tables import Mood, accounts, odd, typed


class Account(pydantic.BaseModel):
    """What an application returns for a row of `accounts`."""

    model_config = pydantic.ConfigDict(from_attributes=True)

    id: int
    balance: int


@pytest_asyncio.fixture(params=["core", "raw"])
async def row(request: pytest.FixtureRequest, database: Database, outside: Outside) -> Record:
    """Give one record of `accounts`, from a Core query and from a string."""
    outside.insert(accounts, {"id": 1, "balance": 10})
    query: Any = (
        accounts.select() if request.param == "core" else "SELECT id, balance FROM accounts"
    )
    found = await database.fetch_one(query)
    assert found is not None
    return found


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
async def test_a_record_pickles(row: Record, protocol: int) -> None:
    clone = pickle.loads(pickle.dumps(row, protocol))

    assert clone == row
    assert isinstance(clone, Record)
    assert dict(clone) == {"id": 1, "balance": 10}
    assert clone.balance == 10
    assert clone[0] == 1
    assert clone[-1] == 10
    assert clone._mapping == {"id": 1, "balance": 10}


async def test_a_pickled_record_keeps_converted_values(
    database: Database, outside: Outside
) -> None:
    outside.insert(typed, {"mood": Mood.SAD, "document": {"a": 1}, "counted": 5})
    query = sa.select(typed.c.mood, typed.c.document, typed.c.counted)
    row = await database.fetch_one(query)

    clone = pickle.loads(pickle.dumps(row))

    assert dict(clone) == {"mood": Mood.SAD, "document": {"a": 1}, "counted": 1005}


async def test_a_record_with_odd_names_pickles(database: Database, outside: Outside) -> None:
    values = {column.name: number for number, column in enumerate(odd.columns, 1)}
    outside.insert(odd, values)
    row = await database.fetch_one(odd.select())

    clone = pickle.loads(pickle.dumps(row))

    assert dict(clone) == values


async def test_a_record_copies(row: Record) -> None:
    for clone in (copy.copy(row), copy.deepcopy(row)):
        assert clone == row
        assert dict(clone) == {"id": 1, "balance": 10}
        assert isinstance(clone, Record)


async def test_a_deep_copy_does_not_share_values(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"document": {"a": [1]}})
    row = await database.fetch_one(sa.select(typed.c.document))
    assert row is not None

    clone = copy.deepcopy(row)
    clone["document"]["a"].append(2)

    assert row["document"] == {"a": [1]}


async def test_equal_records_are_equal(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 10})
    query = accounts.select().where(accounts.c.id == sa.bindparam("key"))

    first = await database.fetch_one(query, {"key": 1})
    again = await database.fetch_one(query, {"key": 1})
    other = await database.fetch_one(query, {"key": 2})

    assert first == again
    assert first != other
    assert first is not again
    assert [first].index(again) == 0


async def test_equal_records_have_the_same_hash(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    first = await database.fetch_one(accounts.select())
    again = await database.fetch_one(accounts.select())

    assert hash(first) == hash(again)
    assert len({first, again}) == 1


async def test_pydantic_reads_attributes(row: Record) -> None:
    assert Account.model_validate(row) == Account(id=1, balance=10)


async def test_pydantic_takes_the_mapping_and_the_dict(row: Record) -> None:
    assert Account(**row._mapping) == Account(id=1, balance=10)
    assert Account.model_validate(dict(row)) == Account(id=1, balance=10)


async def test_pydantic_reads_a_list_of_records(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 20})
    adapter = pydantic.TypeAdapter(list[Account])

    rows = await database.fetch_all(accounts.select().order_by(accounts.c.id))

    assert adapter.validate_python(rows, from_attributes=True) == [
        Account(id=1, balance=10),
        Account(id=2, balance=20),
    ]


async def test_fastapi_serves_records_as_response_models(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 20})
    app = fastapi.FastAPI()

    @app.get("/one", response_model=Account)
    async def one() -> Any:
        return await database.fetch_one(accounts.select().where(accounts.c.id == 1))

    @app.get("/all", response_model=list[Account])
    async def every() -> Any:
        return await database.fetch_all("SELECT id, balance FROM accounts ORDER BY id")

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/one")).json() == {"id": 1, "balance": 10}
        assert (await client.get("/all")).json() == [
            {"id": 1, "balance": 10},
            {"id": 2, "balance": 20},
        ]


async def test_fastapi_serves_records_without_a_model(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    app = fastapi.FastAPI()

    @app.get("/all")
    async def every() -> Any:
        return [dict(row) for row in await database.fetch_all(accounts.select())]

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/all")).json() == [{"id": 1, "balance": 10}]


async def test_fastapi_encodes_a_record_as_an_object(row: Record) -> None:
    assert fastapi.encoders.jsonable_encoder(dict(row)) == {"id": 1, "balance": 10}
    assert json.dumps(dict(row)) == '{"id": 1, "balance": 10}'


async def test_a_record_outlives_its_database(make_database: Any, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    database = make_database()
    async with database:
        row = await database.fetch_one(accounts.select())

    assert dict(row) == {"id": 1, "balance": 10}
    assert row.balance == 10


async def test_records_of_what_has_no_hash_have_one(database: Database, outside: Outside) -> None:
    for number, document in ((1, {"a": [1]}), (2, [1]), (3, {"a": [1]})):
        outside.insert(typed, {"id": number, "document": document})
    query = sa.select(typed.c.document).order_by(typed.c.id)

    first, second, third = await database.fetch_all(query)

    assert first == third != second
    assert hash(first) == hash(third)
    assert {first, second, third} == {first, second}
    assert hash(first._row) == hash(third._row)
