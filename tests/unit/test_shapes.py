"""Typed rows without a database: rarer kinds of types, and what is remembered."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from typing_extensions import NotRequired, Required, TypedDict

from databases import shapes
from databases.backends.common.records import make_layout
from databases.errors import RecordTypeError
from databases.shapes import shape_of

T = TypeVar("T")


def made(into: Any, **values: Any) -> Any:
    """Make one object of a record with *values*."""
    return shape_of(into).one(make_layout(tuple(values)).row(tuple(values.values())))


class Tagged(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    id: int
    name: str = "none"


class AnyStruct(msgspec.Struct, Generic[T]):
    id: T


class Partial(TypedDict, total=False):
    id: Required[int]
    name: str


class Later(Partial):
    size: NotRequired[int]
    colour: str


class AnyDict(TypedDict, Generic[T]):
    id: T


class AnyModel(pydantic.BaseModel, Generic[T]):
    id: T


class Shouting(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=str.upper)

    id: int


@pydantic.dataclasses.dataclass
class Checked:
    id: int


@attrs.define
class Private:
    _id: int


@dataclasses.dataclass
class Doubled:
    id: dataclasses.InitVar[int]
    twice: int = dataclasses.field(init=False)

    def __post_init__(self, id: int) -> None:
        self.twice = 2 * id


class Gap(NamedTuple):
    id: int
    size: int = 5
    name: str = "none"


@dataclasses.dataclass(init=False)
class Open:
    def __init__(self, id: int, **more: Any) -> None:
        self.all = {"id": id, **more}


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        (Tagged, Tagged(id=1)),
        (AnyStruct[int], AnyStruct(1)),
        (AnyDict[int], {"id": 1}),
        (Partial, {"id": 1}),
        (AnyModel[int], AnyModel[int](id=1)),
        (Shouting, Shouting.model_validate({"ID": 1})),
        (Checked, Checked(1)),
        (Private, Private(1)),
        (Gap, Gap(1)),
    ],
)
def test_type_is_filled_by_its_own_rules(into: Any, expected: Any) -> None:
    assert made(into, id=1) == expected


def test_a_gap_between_columns_is_filled_by_the_default() -> None:
    assert made(Gap, name="x", id=1) == Gap(1, 5, "x")


def test_what_only_the_constructor_takes_is_a_field() -> None:
    assert made(Doubled, id=3).twice == 6


def test_a_constructor_may_take_any_column() -> None:
    assert made(Open, size=2, id=1).all == {"id": 1, "size": 2}


def test_a_typed_dict_wants_what_it_calls_required() -> None:
    assert made(Later, colour="red", id=1) == {"colour": "red", "id": 1}
    with pytest.raises(RecordTypeError, match="no column for 'id', 'colour', no field"):
        made(Later, size=1, other=2)


def test_values_are_checked_by_what_checks_them() -> None:
    with pytest.raises(pydantic.ValidationError):
        made(Checked, id="x")
    with pytest.raises(msgspec.ValidationError):
        made(AnyStruct[int], id="x")


def test_numbers_are_booleans_where_a_database_has_no_others() -> None:
    class Flag(msgspec.Struct):
        flag: bool

    assert made(Flag, flag=1) == Flag(flag=True)


def test_layouts_are_remembered_within_bounds() -> None:
    shape: Any = shape_of(dict[str, Any])
    assert shape_of(dict[str, Any]) is shape
    shape = shape_of(Open)

    for number in range(3 * shapes._KNOWN_LAYOUTS):
        assert made(Open, id=1, **{f"c{number}": 2}).all == {"id": 1, f"c{number}": 2}

    assert len(shape._makers) <= shapes._KNOWN_LAYOUTS


def test_functions_are_not_remembered() -> None:
    before = shapes._known_shape.cache_info().currsize

    for _ in range(10):
        assert made(lambda record: record["id"], id=1) == 1

    assert shapes._known_shape.cache_info().currsize == before
