"""`into=`: what the rows are when they become objects of a type of the caller's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import DeclarativeBase
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


class Base(DeclarativeBase):
    pass


class Mapped(Base):
    __tablename__ = "mapped"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]


numbers = sa.Table("numbers", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True))


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


async def tuples(database: Database, connection: Connection) -> None:
    typed = sa.select(Mapped.id, Mapped.name)
    one = sa.insert(Mapped).returning(Mapped.id)
    assert_type(await database.fetch_all(typed, into=tuple), list[tuple[int, str]])
    assert_type(await connection.fetch_one(typed, into=tuple), tuple[int, str] | None)
    assert_type(database.iterate(typed, into=tuple), AsyncGenerator[tuple[int, str], None])
    assert_type(await database.fetch_one(one, {"name": "x"}, into=tuple), tuple[int] | None)
    for number, name in await database.fetch_all(typed, into=tuple):
        assert_type(number, int)
        assert_type(name, str)
    assert_type(await database.fetch_all(typed, into=Pair), list[Pair])
    assert_type(await database.fetch_all(typed, into=Note), list[Note])
    assert_type(await database.fetch_all(typed), list[Record])
    assert_type(await database.fetch_all(numbers.select()), list[Record])
    assert_type(await database.fetch_one(sa.select(numbers.c.n)), Record | None)


async def mistakes(database: Database) -> None:
    await database.fetch_all("SELECT 1", into="Note")  # type: ignore[call-overload]  # no type
    await database.fetch_all("SELECT 1", into=Note(1))  # type: ignore[call-overload]  # no type
    await database.fetch_all("SELECT 1", None, Note)  # type: ignore[call-overload]  # by keyword
    await database.fetch_one("SELECT 1", into=len, column=1)  # type: ignore[call-overload]  # none
