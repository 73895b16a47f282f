"""The tables of the conformance tests, made once per driver and emptied between tests."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

metadata = sa.MetaData()
array_metadata = sa.MetaData()


class Mood(enum.Enum):
    """Stored by name; the values differ from the names on purpose."""

    HAPPY = "glad"
    SAD = "unhappy"


class Shouted(sa.TypeDecorator[str]):
    """Store text in lower case and give it back in upper case."""

    impl = sa.String(100)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.lower()

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(value).upper()


class Counted(sa.TypeDecorator[int]):
    """Count how often a value was converted on its way out."""

    impl = sa.Integer
    cache_ok = True
    conversions = 0

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> int | None:
        Counted.conversions += 1
        return None if value is None else int(value) + 1000


notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.String(200)),
    sa.Column("completed", sa.Boolean),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("balance", sa.Integer, nullable=False),
)

words = sa.Table(
    "words",
    metadata,
    sa.Column("word", sa.String(50), primary_key=True),
    sa.Column("meaning", sa.String(200)),
)

things = sa.Table(
    "things",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True, default=uuid.uuid4),
    sa.Column("name", sa.String(50)),
)

pairs = sa.Table(
    "pairs",
    metadata,
    sa.Column("left", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("right", sa.Integer, primary_key=True, autoincrement=False),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("code", sa.String(50), nullable=False, unique=True),
)


class Ticks:
    """Give 1, 2, 3, ... to the columns that ask for a default."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def _echo(context: Any) -> str:
    return f"echo of {context.get_current_parameters()['name']}"


defaulted = sa.Table(
    "defaulted",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50)),
    sa.Column("constant", sa.Integer, default=42),
    sa.Column("token", sa.String(50), default=lambda: uuid.uuid4().hex),
    sa.Column("echo", sa.String(50), default=_echo),
    sa.Column("computed", sa.Integer, default=sa.literal(40) + 2),
    sa.Column("served", sa.Integer, server_default=sa.text("7")),
    sa.Column("revision", sa.Integer, default=0, onupdate=Ticks()),
    sa.Column("changed", sa.DateTime, onupdate=lambda: datetime.datetime(2024, 2, 3, 4, 5, 6)),
)

typed = sa.Table(
    "typed",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document", sa.JSON),
    sa.Column("mood", sa.Enum(Mood)),
    sa.Column("choice", sa.Enum("red", "green", name="choice")),
    sa.Column("price", sa.Numeric(12, 4)),
    sa.Column("ratio", sa.Float(53)),
    sa.Column("identifier", sa.Uuid),
    sa.Column("moment", sa.DateTime),
    sa.Column("day", sa.Date),
    sa.Column("clock", sa.Time),
    sa.Column("lapse", sa.Interval),
    sa.Column("blob", sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")),
    sa.Column("flag", sa.Boolean),
    sa.Column("big", sa.BigInteger),
    sa.Column("prose", sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")),
    sa.Column("shouted", Shouted),
    sa.Column("counted", Counted),
    sa.Column("zoned", sa.DateTime(timezone=True)),
)

odd = sa.Table(
    "odd",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("count", sa.Integer),
    sa.Column("index", sa.Integer),
    sa.Column("keys", sa.Integer),
    sa.Column("values", sa.Integer),
    sa.Column("_mapping", sa.Integer),
    sa.Column("class", sa.Integer),
    sa.Column("with space", sa.Integer),
    sa.Column("with:colon", sa.Integer),
    sa.Column("per%cent", sa.Integer),
    sa.Column("MixedCase", sa.Integer),
    sa.Column("löwe", sa.Integer),
)

arrays = sa.Table(
    "arrays",
    array_metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("numbers", postgresql.ARRAY(sa.Integer)),
    sa.Column("texts", postgresql.ARRAY(sa.Text)),
    sa.Column("moods", postgresql.ARRAY(sa.Enum(Mood, name="array_mood"))),
    sa.Column("prices", postgresql.ARRAY(sa.Numeric(12, 4))),
    sa.Column("identifiers", postgresql.ARRAY(sa.Uuid)),
    sa.Column("documents", postgresql.ARRAY(postgresql.JSONB)),
    sa.Column("shouts", postgresql.ARRAY(Shouted)),
    sa.Column("grid", postgresql.ARRAY(sa.Integer, dimensions=2)),
    sa.Column("jsonb", postgresql.JSONB),
)


class Base(DeclarativeBase):
    """The root of the mapped classes; their tables are made with the others."""

    metadata = metadata


class User(Base):
    """A class mapped by SQLAlchemy's ORM."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))
    mood: Mapped[Mood | None] = mapped_column(sa.Enum(Mood, name="user_mood"))
