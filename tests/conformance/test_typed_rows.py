"""Rows as objects of the caller's types: `into=` of `fetch_all`, `fetch_one` and `iterate`."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
import sqlalchemy as sa
from typing_extensions import NotRequired

from databases import Database
from databases.errors import InterfaceError, RecordTypeError
from databases.interfaces import Record
from tests.support.outside import Outside
from tests.support.tables import Mood, notes, typed

T = TypeVar("T")

BY_ID = notes.select().order_by(notes.c.id)
RAW = "SELECT id, text, completed FROM notes ORDER BY id"
ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": "one", "completed": True},
    {"id": 2, "text": None, "completed": None},
]


@dataclasses.dataclass
class DataclassNote:
    id: int
    text: str | None
    completed: bool | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeywordNote:
    completed: bool | None
    text: str | None
    id: int


class TupleNote(NamedTuple):
    completed: bool | None
    id: int
    text: str | None
    length: int = 0


class DictNote(TypedDict):
    id: int
    text: str | None
    completed: bool | None
    length: NotRequired[int]


@attrs.define
class AttrsNote:
    id: int
    text: str | None
    completed: bool | None
    length: int = attrs.field(init=False, default=0)


class StructNote(msgspec.Struct, rename="camel"):
    id: int
    text: str | None
    completed: bool | None
    text_length: int = 0


class ArrayNote(msgspec.Struct, array_like=True):
    id: int
    completed: bool | None
    text: str | None


class ModelNote(pydantic.BaseModel):
    id: int
    text: str | None
    completed: bool | None


class AliasedNote(pydantic.BaseModel):
    number: int = pydantic.Field(validation_alias="id")
    text: str | None = pydantic.Field(alias="fullText")
    completed: bool | None = pydantic.Field(
        validation_alias=pydantic.AliasChoices("done", "completed")
    )


KINDS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    DataclassNote: lambda n: (n.id, n.text, n.completed),
    KeywordNote: lambda n: (n.id, n.text, n.completed),
    TupleNote: lambda n: (n.id, n.text, n.completed),
    DictNote: lambda n: (n["id"], n["text"], n["completed"]),
    AttrsNote: lambda n: (n.id, n.text, n.completed),
    StructNote: lambda n: (n.id, n.text, n.completed),
    ArrayNote: lambda n: (n.id, n.text, n.completed),
    ModelNote: lambda n: (n.id, n.text, n.completed),
    AliasedNote: lambda n: (n.number, n.text, n.completed),
}
EXPECTED = [(1, "one", True), (2, None, None)]


@pytest.fixture
def two_notes(outside: Outside) -> None:
    """Put two notes into the table."""
    for row in ROWS:
        outside.insert(notes, row)


def _is(made: Any, kind: Any) -> bool:
    return isinstance(made, dict) if kind is DictNote else isinstance(made, kind)


def _note(error: Any) -> str:
    (note,) = error.__notes__
    assert isinstance(note, str)
    return note


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_fetch_all_makes_objects(database: Database, kind: Any) -> None:
    made = await database.fetch_all(BY_ID, into=kind)

    assert [KINDS[kind](each) for each in made] == EXPECTED
    assert all(_is(each, kind) for each in made)


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_fetch_one_makes_an_object(database: Database, kind: Any) -> None:
    made = await database.fetch_one(BY_ID, into=kind)

    assert KINDS[kind](made) == EXPECTED[0]


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_iterate_makes_objects(database: Database, kind: Any) -> None:
    made = [KINDS[kind](each) async for each in database.iterate(BY_ID, into=kind)]

    assert made == EXPECTED


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_string_is_as_good(database: Database, kind: Any) -> None:
    made = await database.fetch_all(RAW, into=kind)

    assert [KINDS[kind](each)[:2] for each in made] == [(1, "one"), (2, None)]


@pytest.mark.usefixtures("two_notes")
async def test_a_connection_makes_objects_too(database: Database) -> None:
    async with database.connection() as connection:
        every = await connection.fetch_all(BY_ID, into=DataclassNote)
        first = await connection.fetch_one(BY_ID, into=DataclassNote)
        streamed = [each async for each in connection.iterate(BY_ID, into=DataclassNote)]
        through = await database.fetch_all(BY_ID, into=DataclassNote, timeout=30)

    assert every == streamed == through == [DataclassNote(*each) for each in EXPECTED]
    assert first == every[0]


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_the_order_of_the_columns_does_not_matter(database: Database, kind: Any) -> None:
    query = sa.select(notes.c.text, notes.c.completed, notes.c.id).order_by(notes.c.id)

    made = await database.fetch_all(query, into=kind)

    assert [KINDS[kind](each) for each in made] == EXPECTED


@pytest.mark.usefixtures("two_notes")
async def test_labels_are_what_fields_are_called(database: Database) -> None:
    class Pair(NamedTuple):
        number: int
        words: str | None

    query = sa.select(notes.c.text.label("words"), notes.c.id.label("number"))

    assert await database.fetch_one(query.order_by(notes.c.id), into=Pair) == Pair(1, "one")


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_no_row_makes_no_object(database: Database, kind: Any) -> None:
    query = notes.select().where(notes.c.id == 9)

    assert await database.fetch_all(query, into=kind) == []
    assert await database.fetch_one(query, into=kind) is None
    assert [each async for each in database.iterate(query, into=kind)] == []


async def test_values_are_converted_by_their_columns_first(
    database: Database, outside: Outside
) -> None:
    @dataclasses.dataclass
    class Row:
        mood: Mood
        document: Any
        price: decimal.Decimal
        moment: datetime.datetime

    moment = datetime.datetime(2024, 2, 3, 4, 5, 6)
    values = {"mood": Mood.SAD, "document": {"a": [1]}, "price": "1.5", "moment": moment}
    await database.execute(typed.insert(), {**values, "price": decimal.Decimal("1.5")})
    query = sa.select(typed.c.mood, typed.c.document, typed.c.price, typed.c.moment)

    assert await database.fetch_one(query, into=Row) == Row(
        Mood.SAD, {"a": [1]}, decimal.Decimal("1.5"), moment
    )


@pytest.mark.usefixtures("two_notes")
async def test_a_function_is_given_the_record(database: Database) -> None:
    def shout(record: Record) -> str:
        return f"{record['id']} {record.text}!"

    assert await database.fetch_all(BY_ID, into=shout) == ["1 one!", "2 None!"]
    assert await database.fetch_one(BY_ID, into=lambda record: record[notes.c.text]) == "one"
    assert [each async for each in database.iterate(BY_ID, into=shout)] == ["1 one!", "2 None!"]


@pytest.mark.usefixtures("two_notes")
async def test_dict_tuple_and_list_hold_the_values(database: Database) -> None:
    assert await database.fetch_all(BY_ID, into=dict) == ROWS
    assert await database.fetch_all(BY_ID, into=tuple) == EXPECTED
    assert await database.fetch_one(BY_ID, into=list) == [1, "one", True]


@pytest.mark.usefixtures("two_notes")
async def test_a_class_of_any_kind_is_given_the_record(database: Database) -> None:
    class Plain:
        def __init__(self, record: Record) -> None:
            self.text = record["text"]

    made = await database.fetch_all(BY_ID, into=Plain)

    assert [each.text for each in made] == ["one", None]


@pytest.mark.usefixtures("two_notes")
async def test_a_generic_type_is_filled_as_its_origin(database: Database) -> None:
    @dataclasses.dataclass
    class Box(Generic[T]):
        id: T

    made = await database.fetch_one("SELECT id FROM notes ORDER BY id", into=Box[int])

    assert made == Box(1)


@pytest.mark.usefixtures("two_notes")
async def test_defaults_fill_what_has_no_column(database: Database) -> None:
    @dataclasses.dataclass
    class Note:
        text: str
        tags: list[str] = dataclasses.field(default_factory=list)
        id: int = 0

    made = await database.fetch_one("SELECT text, id FROM notes WHERE id = 1", into=Note)

    assert made == Note("one", [], 1)


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", [DataclassNote, TupleNote, DictNote, AttrsNote, StructNote])
async def test_a_missing_column_is_named(database: Database, kind: Any) -> None:
    with pytest.raises(RecordTypeError, match="no column for 'text'") as caught:
        await database.fetch_all(sa.select(notes.c.id, notes.c.completed), into=kind)

    assert isinstance(caught.value, (InterfaceError, TypeError))
    assert kind.__name__ in str(caught.value)


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_surplus_column_is_named(database: Database, kind: Any) -> None:
    query = sa.select(notes, sa.literal(5).label("colour"))

    with pytest.raises(RecordTypeError, match="no field for column 'colour'"):
        await database.fetch_one(query, into=kind)


@pytest.mark.usefixtures("two_notes")
async def test_all_that_does_not_match_is_named_at_once(database: Database) -> None:
    query = "SELECT id, text AS txt, text AS title FROM notes"

    with pytest.raises(RecordTypeError) as caught:
        await database.fetch_all(query, into=ModelNote)

    assert str(caught.value).startswith(
        "cannot make ModelNote of the rows: no column for 'text', 'completed', "
        "no field for column 'txt', 'title'; "
    )


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("kind", KINDS)
async def test_two_columns_of_one_name_are_refused(database: Database, kind: Any) -> None:
    query = sa.text("SELECT id, text, completed, 5 AS id FROM notes")

    with pytest.raises(RecordTypeError, match="more than one column for"):
        await database.fetch_all(query, into=kind)


@pytest.mark.usefixtures("two_notes")
async def test_a_mismatch_in_a_stream_is_named(database: Database) -> None:
    with pytest.raises(RecordTypeError, match="no column for 'completed'"):
        async for _ in database.iterate(sa.select(notes.c.id, notes.c.text), into=DataclassNote):
            pass

    assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.usefixtures("two_notes")
@pytest.mark.parametrize("extra", ["allow", "ignore"])
async def test_a_model_may_take_surplus_columns(database: Database, extra: Any) -> None:
    class Open(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra=extra)

        id: int

    made = await database.fetch_one(BY_ID, into=Open)

    assert made is not None
    assert made.model_dump() == (ROWS[0] if extra == "allow" else {"id": 1})


@pytest.mark.usefixtures("two_notes")
async def test_pydantic_validates_and_the_row_is_named(database: Database) -> None:
    class Strict(pydantic.BaseModel):
        id: int
        text: str

    with pytest.raises(pydantic.ValidationError) as caught:
        await database.fetch_all(sa.select(notes.c.id, notes.c.text), into=Strict)

    (error,) = caught.value.errors()
    assert error["loc"] == ("text",)
    assert _note(caught.value).startswith("row 2 of the result, as ")
    assert _note(caught.value).endswith("Strict")


@pytest.mark.usefixtures("two_notes")
async def test_msgspec_validates_and_the_row_is_named(database: Database) -> None:
    class Strict(msgspec.Struct):
        id: int
        text: str

    query = sa.select(notes.c.id, notes.c.text).order_by(notes.c.id)

    with pytest.raises(msgspec.ValidationError, match=r"\$\.text") as caught:
        async for _ in database.iterate(query, into=Strict):
            pass

    assert _note(caught.value).startswith("row 2 of the result, as ")


@pytest.mark.usefixtures("two_notes")
async def test_an_error_of_the_function_passes_through_with_its_row(database: Database) -> None:
    def fail(record: Record) -> int:
        return 1 // (len(str(record["text"])) - 4)

    with pytest.raises(ZeroDivisionError) as caught:
        await database.fetch_all(BY_ID, into=fail)

    assert _note(caught.value).startswith("row 2 of the result")


@pytest.mark.usefixtures("two_notes")
async def test_dataclasses_take_values_as_they_are(database: Database) -> None:
    @dataclasses.dataclass
    class Loose:
        id: str

    made = await database.fetch_one("SELECT id FROM notes WHERE id = 1", into=Loose)

    assert made == Loose(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("into", ["Note", 5, DataclassNote(1, "", None), int | str])
async def test_what_is_no_type_is_refused_before_the_query(database: Database, into: Any) -> None:
    with pytest.raises(RecordTypeError, match="neither a type nor a function"):
        await database.fetch_all("SELECT broken FROM nowhere", into=into)


@pytest.mark.usefixtures("two_notes")
async def test_fetch_column_gives_one_value_of_every_row(database: Database) -> None:
    assert await database.fetch_column(BY_ID) == [1, 2]
    assert await database.fetch_column(BY_ID, column="text") == ["one", None]
    assert await database.fetch_column(BY_ID, None, notes.c.completed) == [True, None]
    assert await database.fetch_column(RAW, None, -2) == ["one", None]
    query = "SELECT text FROM notes WHERE id = :id"
    assert await database.fetch_column(query, {"id": 1}) == ["one"]
    assert await database.fetch_column(query, {"id": 9}) == []
    async with database.connection() as connection:
        assert await connection.fetch_column(BY_ID, timeout=30) == [1, 2]


@pytest.mark.usefixtures("two_notes")
async def test_fetch_column_converts_and_names_what_is_unknown(database: Database) -> None:
    await database.execute(typed.insert(), {"mood": Mood.SAD})

    assert await database.fetch_column(sa.select(typed.c.mood)) == [Mood.SAD]
    with pytest.raises(KeyError, match="colour"):
        await database.fetch_column(BY_ID, column="colour")
    with pytest.raises(IndexError):
        await database.fetch_column(BY_ID, column=7)
