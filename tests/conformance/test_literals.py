"""Parameters of MySQL stay values, whatever mode and character set the session has."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import notes, typed

pytestmark = requires("charsets")

END = "' or 1=1 -- "
SESSIONS: list[dict[str, Any]] = [
    {},
    {"sql_mode": "NO_BACKSLASH_ESCAPES"},
    {"init_command": "SET sql_mode='NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'"},
    {"charset": "latin1"},
    {"charset": "gbk"},
    {"charset": "big5"},
    {"charset": "sjis"},
    {"charset": "ujis"},
    {"charset": "gbk", "sql_mode": "NO_BACKSLASH_ESCAPES"},
]


class Name:
    """An object that becomes text, as a path or a UUID does."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Marked(str):
    """Text with operators of its own, as that of template languages."""

    __slots__ = ()

    def __radd__(self, other: str) -> str:
        return "1 or 1=1 -- "

    def replace(self, *_: Any) -> str:
        return "' or 1=1 -- "


VALUES: list[Any] = [
    END,
    "\\" + END,
    "\N{YEN SIGN}" + END,
    "\udcbf" + END,
    END.encode(),
    b"\xbf" + END.encode(),
    b"\\" + END.encode(),
    bytearray(b"\x81" + END.encode()),
    memoryview(b"\xbf" + END.encode()),
    b"\xbf" * (2 << 20) + END.encode(),
    b"\\" * (2 << 20) + b"\\" + END.encode(),
    Name(END),
    Name("\\" + END),
    Marked(END),
    (END,),
    [(END,)],
]


@pytest.mark.parametrize("options", SESSIONS, ids=str)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:24])
async def test_a_parameter_never_becomes_sql(
    make_database: MakeDatabase, outside: Outside, options: dict[str, Any], value: Any
) -> None:
    outside.insert(notes, {"text": "a"}, {"text": "b"})
    database = make_database(**options)
    await database.connect()

    async with database.connection() as connection:
        for verb in (connection.fetch_all, connection.fetch_one, connection.execute):
            try:
                found = await verb(
                    "SELECT id FROM notes WHERE hex(text) = :value", {"value": value}
                )
            except Exception:
                found = None
            assert not found
        assert await connection.fetch_val("SELECT 5") == 5


@pytest.mark.parametrize("options", SESSIONS, ids=str)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_bytes_come_back_in_every_session(
    make_database: MakeDatabase, outside: Outside, options: dict[str, Any], kind: Any
) -> None:
    parts = [b"", b"\\", b"'", b"\xbf'\\", bytes(range(256)), b"\xbf'\\\0" * (1 << 19)]
    database = make_database(**options)
    await database.connect()
    insert = "INSERT INTO typed (`blob`, big) VALUES (:blob, :big)"

    for number, part in enumerate(parts):
        await database.execute(insert, {"blob": kind(part), "big": number})
    rows = [{"blob": kind(part), "big": number} for number, part in enumerate(parts)]
    await database.execute_many(insert, rows)

    query = sa.select(typed.c.blob).order_by(typed.c.big, typed.c.id)
    expected = [part for part in parts for _ in range(2)]
    assert [bytes(row["blob"]) for row in await database.fetch_all(query)] == expected
    assert [bytes(value) for (value,) in outside.rows(query)] == expected


async def test_bytes_are_compared_as_they_were(database: Database) -> None:
    """A number in hexadecimal would be another one than that in its text."""
    ask = "SELECT {} FROM (SELECT 'A' AS a, 65 AS n) AS x"
    values = {"value": b"A"}

    assert await database.fetch_val(ask.format("a = :value"), values) == 1
    assert await database.fetch_val(ask.format("n = :value"), {"value": b"65"}) == 1
    assert await database.fetch_val("SELECT :value + 1", {"value": b"41"}) == 42
    assert await database.fetch_val("SELECT 'A' IN :values", {"values": [b"B", b"A"]}) == 1
    assert await database.fetch_val("SELECT hex(:value)", {"value": b""}) == ""
    assert await database.fetch_val("SELECT concat('x', :value)", values) in {"xA", b"xA"}


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("gbk", "中文\\誠'\""),
        ("big5", "許功蓋\\'"),
        ("sjis", "表ソ'"),
        ("latin1", "é\\'"),
        ("utf8mb4", "é\\'\N{PILE OF POO}"),
    ],
)
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES"])
async def test_text_comes_back_in_every_character_set(
    make_database: MakeDatabase, charset: str, text: str, mode: str
) -> None:
    database = make_database(charset=charset, sql_mode=f"'{mode}'")
    await database.connect()
    await database.execute_many(notes.insert(), [{"text": text}, {"text": text + "'"}])
    await database.execute("INSERT INTO notes (text) VALUES (:text)", {"text": Name(text)})

    query = notes.select().where(notes.c.text == text)

    assert [row["text"] for row in await database.fetch_all(query)] == [text, text]
    assert await database.fetch_val("SELECT :text LIKE :text", {"text": text[:2]}) == 1


async def test_a_dict_is_refused(database: Database) -> None:
    with pytest.raises(TypeError, match="cannot send a dict"):
        await database.fetch_val("SELECT :value", {"value": {"a": "b"}})

    assert await database.fetch_val("SELECT 5") == 5


async def test_sixteen_mebibytes_are_written_at_once(database: Database) -> None:
    async with database.connection() as connection:
        escape = connection.raw_connection.escape
        blob = bytes(range(256)) * (1 << 16)

        began = time.perf_counter()
        literal = escape(blob)

    assert len(literal) < len(blob) * 1.05
    assert time.perf_counter() - began < 2


async def test_a_character_set_that_the_driver_does_not_know_of_is_refused(
    make_database: MakeDatabase,
) -> None:
    """The server would take the end of a character and a backslash for one character."""
    database = make_database(init_command="SET NAMES gbk")

    with pytest.raises(ConfigurationError, match="charset='gbk'"):
        await database.connect()


@pytest.mark.parametrize("charset", ["gbk", "utf8mb4"])
async def test_names_that_agree_with_the_charset_are_accepted(
    make_database: MakeDatabase, charset: str
) -> None:
    database = make_database(charset=charset, init_command=f"SET NAMES {charset}")
    await database.connect()

    text = "中\N{CJK UNIFIED IDEOGRAPH-4E3F}'"
    assert await database.fetch_val("SELECT :text", {"text": text}) == text
