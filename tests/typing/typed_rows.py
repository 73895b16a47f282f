"""`into=`: what the rows are when they become objects of a type of the caller's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
from typing_extensions import assert_type

from databases import Database
from databases.core import Connection
from databases.interfaces import Record

T = TypeVar("T")


@dataclass
class Note:
    id: int


@dataclass
class Box(Generic[T]):
    id: T


class Pair(NamedTuple):
    id: int


class Movie(TypedDict):
    id: int


@attrs.define
class Car:
    id: int


class Struct(msgspec.Struct):
    id: int


class Model(pydantic.BaseModel):
    id: int


class Shop:
    """What an application wraps; its methods are handed on as functions."""

    def read(self, record: Record) -> int:
        return len(record)


def shout(record: Record) -> str:
    return str(record["id"])


async def every_type(database: Database) -> None:
    assert_type(await database.fetch_all("SELECT 1", into=Note), list[Note])
    assert_type(await database.fetch_all("SELECT 1", into=Box[int]), list[Box[int]])
    assert_type(await database.fetch_all("SELECT 1", into=Pair), list[Pair])
    assert_type(await database.fetch_all("SELECT 1", into=Movie), list[Movie])
    assert_type(await database.fetch_all("SELECT 1", into=Car), list[Car])
    assert_type(await database.fetch_all("SELECT 1", into=Struct), list[Struct])
    assert_type(await database.fetch_all("SELECT 1", into=Model), list[Model])
    assert_type(await database.fetch_all("SELECT 1", into=dict[str, Any]), list[dict[str, Any]])


async def every_verb_of_a_database(database: Database) -> None:
    assert_type(await database.fetch_all("SELECT :id", {"id": 1}, into=Note), list[Note])
    assert_type(await database.fetch_one("SELECT 1", into=Note, timeout=1), Note | None)
    assert_type(database.iterate("SELECT 1", into=Note), AsyncGenerator[Note, None])
    async for note in database.iterate("SELECT 1", into=Note):
        assert_type(note, Note)
    assert_type(await database.fetch_all("SELECT 1", into=None), list[Record])
    assert_type(await database.fetch_column("SELECT 1", column="id"), list[Any])


async def every_verb_of_a_connection(connection: Connection) -> None:
    assert_type(await connection.fetch_all("SELECT 1", into=Note), list[Note])
    assert_type(await connection.fetch_one("SELECT 1", into=Note), Note | None)
    assert_type(connection.iterate("SELECT 1", into=Note), AsyncGenerator[Note, None])
    assert_type(await connection.fetch_column("SELECT 1"), list[Any])


async def functions(database: Database) -> None:
    assert_type(await database.fetch_all("SELECT 1", into=shout), list[str])
    assert_type(await database.fetch_one("SELECT 1", into=shout), str | None)
    assert_type(database.iterate("SELECT 1", into=shout), AsyncGenerator[str, None])
    assert_type(await database.fetch_all("SELECT 1", into=Shop().read), list[int])
    assert_type(
        await database.fetch_all("SELECT 1", into=lambda record: len(record) + 1), list[int]
    )


async def mistakes(database: Database) -> None:
    await database.fetch_all("SELECT 1", into="Note")  # type: ignore[call-overload]  # no type
    await database.fetch_all("SELECT 1", into=Note(1))  # type: ignore[call-overload]  # no type
    await database.fetch_all("SELECT 1", None, Note)  # type: ignore[call-overload]  # by keyword
    await database.fetch_one("SELECT 1", into=len, column=1)  # type: ignore[call-overload]  # none
