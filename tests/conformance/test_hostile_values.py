"""Values of every kind come back as they are, or are an error that leaves all usable."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import accounts, notes, odd, typed

TEXTS = [
    "",
    " ",
    "'",
    '"',
    "''",
    "`",
    "\\",
    "\\'",
    "\\\\",
    "%",
    "%%",
    "%s",
    "%(x)s",
    ":x",
    "::x",
    "?",
    "$1",
    "$$",
    "{}",
    "{0}",
    "a\nb\r\nc\td",
    "'; DROP TABLE notes; --",
    '" OR ""="',
    "/* */",
    "-- x",
    "NULL",
    "null",
    "true",
    "0",
    "ünïcödé",
    "\N{SNOWMAN}",
    "\N{PILE OF POO}",
    "e\N{COMBINING ACUTE ACCENT}",
    "\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "\N{ZERO WIDTH SPACE}",
    "\x01\x1f\x7f",
    "x" * 200,
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_text_comes_back_as_it_is(database: Database, outside: Outside, text: str) -> None:
    await database.execute(notes.insert().values(text=text))
    await database.execute("INSERT INTO notes (text) VALUES (:text)", {"text": text})
    await database.execute_many(notes.insert(), [{"text": text}])
    await database.execute_many("INSERT INTO notes (text) VALUES (:text)", [{"text": text}])

    query = notes.select().where(notes.c.text == text)
    raw = "SELECT text FROM notes WHERE text = :text"
    assert [row["text"] for row in await database.fetch_all(query)] == [text] * 4
    assert [row["text"] for row in await database.fetch_all(raw, {"text": text})] == [text] * 4
    assert outside.column(notes.c.text) == [text] * 4


@pytest.mark.parametrize(
    "blob",
    [b"", b"\0", b"'", b"\\", b"%s", b"\xff\xfe", b"\x1a\n\r\0'\"\\", bytes(range(256)) * 10],
    ids=lambda blob: repr(blob[:8]),
)
async def test_bytes_come_back_as_they_are(
    database: Database, outside: Outside, blob: bytes
) -> None:
    await database.execute(typed.insert().values(blob=blob))
    await database.execute_many(typed.insert(), [{"blob": blob}])
    await database.execute(
        f"INSERT INTO typed ({_quoted(database)}) VALUES (:blob)", {"blob": blob}
    )

    rows = await database.fetch_all(sa.select(typed.c.blob))

    assert [bytes(row["blob"]) for row in rows] == [blob] * 3
    assert [bytes(value) for (value,) in outside.rows(sa.select(typed.c.blob))] == [blob] * 3


@pytest.mark.parametrize("size", [1, 5], ids=["1MiB", "5MiB"])
async def test_large_values_come_back_as_they_are(database: Database, size: int) -> None:
    text = "x\N{SNOWMAN}'\\" * (size * 1024 * 1024 // 6)
    blob = bytes(range(256)) * (size * 4096)

    await database.execute(typed.insert().values(prose=text, blob=blob))
    row = await database.fetch_one(sa.select(typed.c.prose, typed.c.blob))

    assert row is not None
    assert row["prose"] == text
    assert bytes(row["blob"]) == blob


async def test_a_row_of_18_mebibytes_comes_back_or_is_an_error(
    database: Database, outside: Outside
) -> None:
    """Some drivers lose such a row and take its rest for the next answer."""
    part = b"\xfe" * (6 * 1024 * 1024)
    outside.insert(typed, *({"blob": part, "big": number} for number in range(3)))
    first, second, third = (typed.alias() for _ in range(3))
    query = (
        sa.select(first.c.blob.label("a"), second.c.blob.label("b"), third.c.blob.label("c"))
        .join_from(first, second, second.c.big == 1)
        .join(third, third.c.big == 2)
        .where(first.c.big == 0)
    )

    async with database.connection() as connection:
        try:
            row = await connection.fetch_one(query)
        except Exception:
            row = None
        else:
            assert row is not None
            assert [bytes(value) for value in row.values()] == [part] * 3
    del row

    assert await database.fetch_val("SELECT 5") == 5
    assert await database.fetch_val("SELECT count(*) FROM typed") == 3


@requires("charsets")
@pytest.mark.parametrize("size", [2**24 - 10, 2**24 - 1, 2**24, 17_000_000])
async def test_a_value_of_16_mebibytes_begins_a_row(database: Database, size: int) -> None:
    """Its length is written as the end of a result is: rows after it must not be lost."""
    query = f"SELECT repeat('a', {size}) AS x, 7 AS y UNION ALL SELECT 'b', 8"
    long, short = (size, 7), (1, 8)

    assert len(await database.fetch_val(query)) == size
    assert [(len(x), y) async for x, y in _values(database, query)] == [long, short]
    await database.execute(query)
    async with database.transaction():
        rows = await database.fetch_all(query)
        assert [(len(row["x"]), row["y"]) for row in rows] == [long, short]
        assert await database.fetch_val("SELECT 5") == 5
    assert await database.fetch_val("SELECT 5") == 5


@pytest.mark.parametrize("text", ["nul \0 byte", "lone \ud800 surrogate"], ids=ascii)
async def test_text_that_some_databases_refuse(
    database: Database, outside: Outside, text: str
) -> None:
    """It comes back as it is, or it is an error: never something else."""
    async with database.connection() as connection:
        try:
            await connection.execute(notes.insert().values(text=text))
        except Exception:
            assert outside.count(notes) == 0
        else:
            assert await connection.fetch_val(sa.select(notes.c.text)) == text

        assert await connection.fetch_val("SELECT 5") == 5


@pytest.mark.parametrize(
    "value",
    [2**31, -(2**31) - 1, 2**63, 2**70, -(2**70), "text", b"bytes", 1.5, {"a": 1}, object(), [1]],
    ids=lambda value: type(value).__name__ + str(value)[:12],
)
async def test_a_wrong_value_for_an_integer_column(
    database: Database, outside: Outside, value: Any
) -> None:
    """It is stored as what it is, or it is an error: nothing half done stays behind."""
    async with database.connection() as connection:
        try:
            await connection.execute(accounts.insert().values(id=1, balance=value))
        except Exception:
            assert outside.count(accounts) == 0
        else:
            assert outside.count(accounts) == 1

        assert await connection.fetch_val("SELECT 5") == 5


@pytest.mark.parametrize("value", [0, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])
async def test_whole_numbers(database: Database, value: int) -> None:
    await database.execute(typed.insert().values(big=value))

    assert await database.fetch_val(sa.select(typed.c.big)) == value
    assert await database.fetch_val(sa.select(typed.c.id).where(typed.c.big == value)) is not None


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e300, -1e-300, 5e-324, math.pi])
async def test_floats(database: Database, value: float) -> None:
    await database.execute(typed.insert().values(ratio=value))

    assert await database.fetch_val(sa.select(typed.c.ratio)) == value


@pytest.mark.parametrize("text", ["0", "0.0001", "-99999999.9999", "12345678.0000"])
async def test_decimals(database: Database, text: str) -> None:
    value = decimal.Decimal(text)
    await database.execute(typed.insert().values(price=value))

    found = await database.fetch_val(sa.select(typed.c.price))

    assert isinstance(found, decimal.Decimal)
    assert abs(found - value) < decimal.Decimal("0.00005")


@pytest.mark.parametrize(
    "day",
    [datetime.date(1, 1, 1), datetime.date(1900, 2, 28), datetime.date(9999, 12, 31)],
    ids=str,
)
async def test_dates_of_every_age(database: Database, day: datetime.date) -> None:
    await database.execute(typed.insert().values(day=day))

    assert await database.fetch_val(sa.select(typed.c.day)) == day


async def test_many_parameters(database: Database) -> None:
    names = [f"p{number}" for number in range(500)]
    query = "SELECT " + " + ".join(f"CAST(:{name} AS {_integer(database)})" for name in names)

    total = await database.fetch_val(query, dict.fromkeys(names, 1))

    assert total == 500


async def test_odd_column_names_with_hostile_values(database: Database, outside: Outside) -> None:
    await database.execute(odd.insert().values({"id": 1, "with:colon": 5, "per%cent": 6}))
    query = odd.select().where(odd.c["with:colon"] == 5, odd.c["per%cent"] == 6)

    row = await database.fetch_one(query)

    assert row is not None
    assert (row["with:colon"], row["per%cent"]) == (5, 6)


@pytest.mark.parametrize(
    "query", ["", " ", ";", "-- nothing", "SELEC 1", "SELECT (", "'"], ids=repr
)
async def test_broken_sql_leaves_the_connection_usable(database: Database, query: str) -> None:
    async with database.connection() as connection:
        with contextlib.suppress(Exception):
            await connection.fetch_all(query)

        assert await connection.fetch_val("SELECT 5") == 5


def _quoted(database: Database) -> str:
    return "`blob`" if database.url.dialect == "mysql" else "blob"


def _integer(database: Database) -> str:
    return "SIGNED" if database.url.dialect == "mysql" else "INTEGER"


async def test_an_answer_that_cannot_be_read_leaves_nothing_for_the_next_query(
    make_database: MakeDatabase,
) -> None:
    """Some servers send a lone surrogate back as they got it, and the driver cannot read it."""
    async with make_database(max_size=1) as database:
        for query in ("SELECT :text", "SELECT CONCAT(:text, 'x')"):
            with contextlib.suppress(Exception):
                await database.fetch_val(query, {"text": "\udc80"})
            assert await database.fetch_val("SELECT 7") == 7


async def _values(database: Database, query: str) -> AsyncIterator[tuple[Any, ...]]:
    async for row in database.iterate(query):
        yield tuple(row.values())
