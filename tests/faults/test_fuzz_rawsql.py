"""Random SQL texts: what reaches the server means what the text with the values in it means."""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from databases import Database
from tests.faults.score import Score
from tests.support.drivers import DriverCase
from tests.support.outside import Outside

SETTINGS: dict[str, Any] = {
    "deadline": None,
    "derandomize": False,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
EXAMPLES = 1500 if os.environ.get("TEST_THOROUGH") else 60
NAMES = ("a", "b", "a_b", "größe", "_1")
# What could be taken for something else, and plain text in between.
BITS = st.sampled_from(
    [":a", ":b", "::", ":", "\\", "'", '"', "`", "--", "/*", "*/", "#", "$$", "$1", "$t$", "?", "%",
     "%s", "%(a)s", "{}", "[", "]", "(", ")", ";", "\n", " ", "x", "7", "ä", "E", "\\:", "''", "%%"]
)  # fmt: skip
# An escaped colon loses its backslash wherever it stands: tried by itself.
TEXTS = st.lists(BITS, max_size=6).map("".join).map(lambda text: text.replace("\\:", "\\ :"))


@dataclass
class Query:
    """A text with parameters, and the same text with the values in their places."""

    written: str = ""
    meant: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, text: str, meant: str | None = None) -> None:
        self.written += text
        self.meant += text if meant is None else meant


class Writer:
    """Writes pieces of SQL in the words of one engine."""

    def __init__(self, case: DriverCase) -> None:
        self.case = case
        self.character = case.text(postgresql="TEXT", sqlite="TEXT", mysql="CHAR")
        self.integer = case.text(postgresql="INTEGER", sqlite="INTEGER", mysql="SIGNED")

    def literal(self, value: object) -> str:
        if isinstance(value, int):
            return str(value)
        text = str(value).replace("'", "''")
        if self.case.can("backslash_escapes"):
            text = text.replace("\\", "\\\\")
        return f"'{text}'"

    def comments(self) -> st.SearchStrategy[str]:
        """Give strategies of text that means nothing."""
        inner = TEXTS.map(lambda text: text.replace("*/", "").replace("/*", "").rstrip("*/"))
        lines = TEXTS.map(lambda text: text.replace("\n", ""))
        kinds = [
            st.just(" "),
            st.just("\n"),
            inner.map("/*{}*/".format),
            lines.map("-- {}\n".format),
        ]
        # MySQL runs what stands in /*! */.
        kinds[2] = inner.filter(lambda text: not text.startswith(("!", "M!", "+"))).map(
            "/* {} */".format
        )
        if self.case.can("dollar_quotes"):
            kinds.append(inner.map("/* {0} /* {0} */ ' */".format))
            kinds.append(lines.map("--{}\n".format))
        if self.case.can("backslash_escapes"):
            kinds.append(lines.map("#{}\n".format))
        return st.one_of(kinds)

    def strings(self) -> st.SearchStrategy[str]:
        """Give strategies of literals, in all the engine's ways to write them."""
        kinds = [TEXTS.map(self.literal)]
        if self.case.can("dollar_quotes"):
            kinds.append(TEXTS.filter(lambda text: "$" not in text).map("$${}$$".format))
            kinds.append(TEXTS.filter(lambda text: "$t$" not in text + "$t").map("$t${}$t$".format))
            kinds.append(
                TEXTS.map(lambda t: t.replace("\\", "\\\\").replace("'", "\\'")).map("E'{}'".format)
            )
        if self.case.can("backslash_escapes"):
            kinds.append(
                TEXTS.map(lambda t: t.replace("\\", "\\\\").replace('"', '\\"')).map('"{}"'.format)
            )
        return st.one_of(kinds)

    def name(self, text: str) -> str:
        """Quote *text* as an identifier."""
        quote = "`" if self.case.dialect == "mysql" else '"'
        clean = text.replace("\\", "").strip()[:20].strip() or "x"
        return quote + clean.replace(quote, quote * 2) + quote


@st.composite
def queries(draw: st.DrawFn, writer: Writer) -> Query:
    """Make a SELECT of several expressions with comments all over."""
    query = Query()
    gap = writer.comments()
    count = draw(st.integers(1, 4))
    query.add("SELECT ")
    for column in range(count):
        query.add(draw(gap))
        _expression(draw, writer, query)
        query.add(draw(gap))
        query.add(f" AS {writer.name(f'{column}{draw(TEXTS)}')}")
        query.add(draw(gap))
        query.add("," if column < count - 1 else "")
    query.add(draw(gap))
    return query


def _expression(draw: st.DrawFn, writer: Writer, query: Query) -> None:
    kinds = ["string", "text", "number", "modulo", "list", "colon"]
    if writer.case.can("casts"):
        kinds += ["cast", "slice", "json"]
    kind = draw(st.sampled_from(kinds))
    if kind == "string":
        query.add(draw(writer.strings()))
    elif kind == "text":
        query.add("CAST(")
        _parameter(draw, writer, query, draw(TEXTS))
        query.add(f" AS {writer.character})")
    elif kind == "number":
        query.add("1 + CAST(")
        _parameter(draw, writer, query, draw(st.integers(-1000, 1000)))
        query.add(f" AS {writer.integer})")
    elif kind == "modulo":
        query.add("17%5%3 + 7 % 4")
    elif kind == "list":
        query.add("CASE WHEN 3 IN (1, ")
        _parameter(draw, writer, query, draw(st.integers(1, 5)))
        query.add(") THEN ':a' ELSE '?' END")
    elif kind == "colon":
        query.add("'x\\:a'", "'x:a'")
    elif kind == "cast":
        _parameter(draw, writer, query, draw(TEXTS))
        query.add("::text||'a'::text")
    elif kind == "slice":
        query.add("array_to_string((ARRAY[1,2,3,4])[2:3], ':')")
    else:
        query.add("""('{"a":1}'::jsonb ? 'a')::text || ('{"b":":c"}'::jsonb->>'b')""")


def _parameter(draw: st.DrawFn, writer: Writer, query: Query, value: object) -> None:
    name = draw(st.sampled_from(NAMES))
    # The same name again must be the same value again.
    name = name if type(query.values.get(name, value)) is type(value) else f"{name}2"
    value = query.values.setdefault(name, value)
    query.add(f":{name}", writer.literal(value))


def meaning(outside: Outside, text: str) -> object:
    """Give the names and values that the server reads in *text*, by another driver."""
    # By the driver's cursor: SQLAlchemy gives it an empty tuple of parameters,
    # and then it looks for their places.
    cursor = outside.connection.connection.cursor()
    try:
        cursor.execute(text)
        names = [column[0] for column in cursor.description]
        return names, [[_told(value) for value in row] for row in cursor.fetchall()]
    finally:
        cursor.close()


async def heard(database: Database, query: Query) -> object:
    """Give the same of what reaches the server through the library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the server's: aiomysql hands them on
        rows = await database.fetch_all(query.written, query.values or None)
    return list(rows[0].keys()), [[_told(value) for value in row.values()] for row in rows]


def _told(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def fuzz(
    outside: Outside,
    score: Score,
    name: str,
    strategy: st.SearchStrategy[Query],
    check: Callable[[Database, Query], Any],
) -> None:
    """Run *check* on many queries, on one loop and one database."""
    loop = asyncio.new_event_loop()
    database = Database(outside.url)

    @settings(max_examples=EXAMPLES, **SETTINGS)
    @given(strategy)
    def run(query: Query) -> None:
        note(f"written: {query.written!r}\nmeant:   {query.meant!r}\nvalues:  {query.values!r}")
        score.tried(name, outside.case.name)
        loop.run_until_complete(check(database, query))

    try:
        loop.run_until_complete(database.connect())
        run()
    finally:
        loop.run_until_complete(database.disconnect())
        loop.close()


def test_parameters_among_everything_else(outside: Outside, score: Score) -> None:
    async def check(database: Database, query: Query) -> None:
        expected = meaning(outside, query.meant)
        assert await heard(database, query) == expected

    fuzz(outside, score, "raw SQL", queries(Writer(outside.case)), check)


@st.composite
def damaged(draw: st.DrawFn, writer: Writer) -> Query:
    """Make a text without parameters, and take a piece out of it or put one in."""
    text = draw(queries(writer)).meant
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(BITS) + text[at + draw(st.integers(0, 3)) :]
    text = re.sub(r":(?=[^\W\d])", ": ", text.replace("\\:", "\\ :"))
    return Query(text, text)


def test_any_text_without_parameters(outside: Outside, score: Score) -> None:
    """What the server takes, it takes through the library; what it refuses is refused."""

    async def check(database: Database, query: Query) -> None:
        try:
            expected = meaning(outside, query.meant)
        except Exception:
            with pytest.raises(Exception):
                await heard(database, query)
            return
        score.tried("damaged SQL that the server takes", outside.case.name)
        assert await heard(database, query) == expected

    fuzz(outside, score, "damaged SQL", damaged(Writer(outside.case)), check)
