"""Records as FastAPI response models and in pydantic's ``from_attributes``, as they are."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import uuid
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import pydantic
import pytest
from fastapi.encoders import jsonable_encoder

from databases import Database
from tests.compat.web import served
from tests.support.outside import Outside
from tests.support.tables import Mood, notes, typed

IDENTIFIER = uuid.UUID("12345678-1234-5678-1234-567812345678")


class NoteOut(pydantic.BaseModel):
    """One note, built from attributes."""

    model_config = pydantic.ConfigDict(from_attributes=True)

    id: int
    text: str
    completed: bool | None = None


class TypedOut(pydantic.BaseModel):
    """One row of converted values."""

    model_config = pydantic.ConfigDict(from_attributes=True)

    document: dict[str, Any]
    mood: Mood
    price: decimal.Decimal
    identifier: uuid.UUID
    moment: datetime.datetime
    flag: bool


async def test_model_is_made_from_the_attributes_of_a_record(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 1, "text": "x", "completed": True})

    record = await database.fetch_one(notes.select())

    assert NoteOut.model_validate(record) == NoteOut(id=1, text="x", completed=True)


async def test_model_is_made_from_a_record_as_a_dict(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 1, "text": "x", "completed": True})

    record: Any = await database.fetch_one(notes.select())

    assert NoteOut(**dict(record)) == NoteOut(id=1, text="x", completed=True)
    assert NoteOut(**record._mapping) == NoteOut(id=1, text="x", completed=True)


async def test_model_is_made_from_a_record_of_a_string_query(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 1, "text": "x", "completed": None})

    record = await database.fetch_one("SELECT id, text, completed FROM notes")

    assert NoteOut.model_validate(record) == NoteOut(id=1, text="x")


async def test_list_of_records_is_validated(database: Database) -> None:
    await database.execute_many(notes.insert(), [{"id": n, "text": f"{n}"} for n in (1, 2)])
    adapter = pydantic.TypeAdapter(list[NoteOut])

    records = await database.fetch_all(notes.select().order_by(notes.c.id))

    expected = [NoteOut(id=1, text="1"), NoteOut(id=2, text="2")]
    assert adapter.validate_python(records, from_attributes=True) == expected


async def test_values_in_a_model_are_converted(database: Database) -> None:
    values: dict[str, Any] = {
        "document": {"a": [1]},
        "mood": Mood.SAD,
        "price": decimal.Decimal("1.5"),
        "identifier": IDENTIFIER,
        "moment": datetime.datetime(2024, 2, 3, 4, 5, 6),
        "flag": True,
    }
    await database.execute(typed.insert(), values)

    record = await database.fetch_one(typed.select())

    assert TypedOut.model_validate(record) == TypedOut(**values)


async def test_jsonable_encoder_takes_a_record_as_a_dict(database: Database) -> None:
    await database.execute(notes.insert(), {"id": 1, "text": "x", "completed": True})

    record: Any = await database.fetch_one(notes.select())

    assert jsonable_encoder(dict(record)) == {"id": 1, "text": "x", "completed": True}


def _application(database: Database) -> fastapi.FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[None]:
        async with database:
            yield

    application = fastapi.FastAPI(lifespan=lifespan)

    @application.get("/one", response_model=NoteOut)
    async def one() -> Any:
        return await database.fetch_one(notes.select().order_by(notes.c.id))

    @application.get("/all", response_model=list[NoteOut])
    async def everything() -> Any:
        return await database.fetch_all(notes.select().order_by(notes.c.id))

    @application.get("/none", response_model=NoteOut | None)
    async def none() -> Any:
        return await database.fetch_one(notes.select().where(notes.c.id == -1))

    @application.get("/text", response_model=list[NoteOut])
    async def text() -> Any:
        return await database.fetch_all("SELECT id, text, completed FROM notes ORDER BY id")

    @application.get("/value", response_model=int)
    async def value() -> Any:
        return await database.fetch_val("SELECT count(*) FROM notes")

    @application.post("/notes", response_model=NoteOut)
    @database.transaction()
    async def create(text: str) -> Any:
        await database.execute(notes.insert(), {"id": 3, "text": text})
        return await database.fetch_one(notes.select().where(notes.c.id == 3))

    return application


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/one", {"id": 1, "text": "first", "completed": True}),
        (
            "/all",
            [
                {"id": 1, "text": "first", "completed": True},
                {"id": 2, "text": "second", "completed": None},
            ],
        ),
        (
            "/text",
            [
                {"id": 1, "text": "first", "completed": True},
                {"id": 2, "text": "second", "completed": None},
            ],
        ),
        ("/none", None),
        ("/value", 2),
    ],
)
async def test_records_are_response_models_over_http(
    outside: Outside, path: str, expected: Any
) -> None:
    outside.insert(
        notes,
        {"id": 1, "text": "first", "completed": True},
        {"id": 2, "text": "second", "completed": None},
    )

    async with served(_application(Database(outside.url))) as client:
        answer = await client.get(path)

    assert (answer.status_code, answer.json()) == (200, expected)


async def test_record_of_a_decorated_handler_is_a_response_model(outside: Outside) -> None:
    async with served(_application(Database(outside.url))) as client:
        answer = await client.post("/notes", params={"text": "new"})

    assert answer.json() == {"id": 3, "text": "new", "completed": None}
    assert outside.column(notes.c.text) == ["new"]
