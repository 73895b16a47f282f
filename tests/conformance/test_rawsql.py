"""SQL strings reach the server as they are written, with and without parameters."""

from __future__ import annotations

from typing import Any

import pytest

from databases import Database
from tests.support.drivers import DriverCase, lacks, requires
from tests.support.outside import Outside
from tests.support.tables import accounts, notes

LITERALS = [
    "100%",
    "100%%",
    "%s",
    "%(name)s",
    "%d %i %x",
    "a:b",
    ":name",
    "::text",
    "12:30:45",
    "what?",
    "??",
    "$1",
    "$1 $2 :x",
    "{name}",
    "{0} {{}}",
    "it''s",
    "''",
    "/* :no */",
    "-- :no",
    '"quoted" :x',
    "`tick` :x",
    "$$ :x $$",
    "@var",
    "#hash",
    "a;b",
    "tab\there",
    "line\nbreak",
    "\N{SNOWMAN} \N{PILE OF POO}",
]


def meant(literal: str) -> str:
    """Give the value that a string literal of this text stands for."""
    return literal.replace("''", "'")


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_without_parameters(database: Database, literal: str) -> None:
    assert await database.fetch_val(f"SELECT '{literal}'") == meant(literal)
    assert await database.fetch_val(f"SELECT '{literal}'", {}) == meant(literal)


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_beside_a_parameter(
    database: Database, outside: Outside, literal: str
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = f"SELECT '{literal}' AS literal, balance FROM accounts WHERE id = :id"

    row = await database.fetch_one(query, {"id": 1})
    iterated = [record async for record in database.iterate(query, {"id": 1})]

    assert row is not None
    assert row["literal"] == meant(literal)
    assert row["balance"] == 10
    assert iterated == [row]


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_in_execute_and_execute_many(
    database: Database, outside: Outside, literal: str
) -> None:
    query = f"INSERT INTO notes (text, completed) VALUES ('{literal}', :completed)"

    await database.execute(f"INSERT INTO notes (text) VALUES ('{literal}')")
    await database.execute(query, {"completed": True})
    await database.execute_many(query, [{"completed": True}, {"completed": False}])

    assert outside.column(notes.c.text) == [meant(literal)] * 4


@lacks("backslash_escapes")
@pytest.mark.parametrize("literal", ["\\", "a\\b", "c:\\new", "\\\\"])
async def test_a_backslash_is_a_backslash(
    database: Database, outside: Outside, literal: str
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = f"SELECT '{literal}' FROM accounts"

    assert await database.fetch_val(query) == literal
    assert await database.fetch_val(f"{query} WHERE id = :id", {"id": 1}) == literal


@requires("backslash_escapes")
@pytest.mark.parametrize(
    ("literal", "value"), [("a\\\\b", "a\\b"), ("\\'", "'"), ("\\' :x", "' :x"), ("\\n", "\n")]
)
async def test_a_backslash_escape_is_the_servers(
    database: Database, outside: Outside, literal: str, value: str
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = f"SELECT '{literal}' FROM accounts"

    assert await database.fetch_val(query) == value
    assert await database.fetch_val(f"{query} WHERE id = :id", {"id": 1}) == value


COMMENTS = [
    "-- it's :no\n",
    "/* it's :no 100% ? $1 */",
    "/* a */ /* :b */",
    '-- "\n',
]


@pytest.mark.parametrize("comment", COMMENTS)
async def test_comments_hold_no_parameters(
    database: Database, outside: Outside, comment: str
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = f"SELECT balance {comment} FROM accounts WHERE id = :id {comment}"

    assert await database.fetch_val(query, {"id": 1}) == 10
    assert await database.fetch_val(f"SELECT balance {comment} FROM accounts") == 10


async def test_quoted_identifiers_hold_no_parameters(
    database: Database, driver: DriverCase
) -> None:
    quote = driver.text(postgresql='"', sqlite='"', mysql="`")
    name = "we:ird % ? $1 it's"

    row = await database.fetch_one(f"SELECT 5 AS {quote}{name}{quote}")

    assert row is not None
    assert dict(row) == {name: 5}


@requires("casts")
async def test_casts_are_not_parameters(database: Database) -> None:
    assert await database.fetch_val("SELECT '5'::int") == 5
    assert await database.fetch_val("SELECT '5'::int + :n", {"n": 1}) == 6
    assert await database.fetch_val("SELECT CAST(:n AS text)::int", {"n": "7"}) == 7
    assert await database.fetch_val("SELECT (:n)::text", {"n": "7"}) == "7"
    assert await database.fetch_val("SELECT :n::text", {"n": "7"}) == "7"
    assert await database.fetch_val("SELECT '{1,2}'::int[]") == [1, 2]


@requires("casts")
async def test_array_slices_are_not_parameters(database: Database) -> None:
    assert await database.fetch_val("SELECT (ARRAY[1,2,3])[2:3]") == [2, 3]
    assert await database.fetch_val("SELECT (ARRAY[1,2,3])[1:2] WHERE 1 = :n", {"n": 1}) == [1, 2]


@requires("dollar_quotes")
@pytest.mark.parametrize("tag", ["$$", "$body$", "$ü_1$"])
async def test_dollar_quotes_hold_no_parameters(database: Database, tag: str) -> None:
    text = "it's :no 100% ? $1 $other$ end"

    assert await database.fetch_val(f"SELECT {tag}{text}{tag}") == text
    assert await database.fetch_val(f"SELECT {tag}{text}{tag} WHERE 1 = :n", {"n": 1}) == text


@requires("dollar_quotes")
async def test_escape_strings_hold_no_parameters(database: Database) -> None:
    assert await database.fetch_val(r"SELECT E'it\'s :no' WHERE 1 = :n", {"n": 1}) == "it's :no"


async def test_an_escaped_colon_is_a_colon(database: Database, driver: DriverCase) -> None:
    """``\\:`` outside literals stands for a colon, as SQLAlchemy's ``text()`` reads it."""
    query = driver.text(
        postgresql=r"SELECT '5'\:\:int + :n",
        mysql=r"SELECT @counter \:= 5 + :n",
        sqlite=r"SELECT 5 + :n -- \:no",
    )

    assert await database.fetch_val(query, {"n": 1}) == 6


@lacks("backslash_escapes")
async def test_an_escaped_colon_in_a_literal_is_a_colon(database: Database) -> None:
    assert await database.fetch_val(r"SELECT '12\:30'") == "12:30"
    assert await database.fetch_val(r"SELECT '12\:n' WHERE 1 = :n", {"n": 1}) == "12:n"


async def test_modulo_is_modulo(database: Database) -> None:
    assert await database.fetch_val("SELECT 7 % 4") == 3
    assert await database.fetch_val("SELECT 7 % 4 WHERE 1 = :n", {"n": 1}) == 3
    assert await database.fetch_val("SELECT 7%4", {}) == 3


async def test_like_patterns(database: Database, outside: Outside) -> None:
    outside.insert(notes, {"text": "snow"}, {"text": "rain"})

    assert await database.fetch_val("SELECT text FROM notes WHERE text LIKE '%now'") == "snow"
    query = "SELECT text FROM notes WHERE text LIKE '%a%' AND text <> :no"
    assert await database.fetch_val(query, {"no": "x"}) == "rain"
    query = "SELECT text FROM notes WHERE text LIKE :pattern"
    assert await database.fetch_val(query, {"pattern": "%n_w"}) == "snow"


@requires("native_json")
async def test_question_mark_operators(database: Database) -> None:
    query = "SELECT CAST('{\"a\": 1}' AS jsonb)"

    assert await database.fetch_val(f"{query} ? 'a'") is True
    assert await database.fetch_val(f"{query} ?| ARRAY['b', 'a']") is True
    assert await database.fetch_val(f"{query} ? :key", {"key": "b"}) is False


async def test_parameters_next_to_punctuation(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 20})
    query = "SELECT id FROM accounts WHERE(id=:a)OR(id=:b+0)ORDER BY id"

    rows = await database.fetch_all(query, {"a": 1, "b": 2})

    assert [row["id"] for row in rows] == [1, 2]


@pytest.mark.parametrize(
    "name", ["a", "A", "_a", "a1", "select", "long_" * 20 + "name", "camelCase"]
)
async def test_parameter_names(database: Database, outside: Outside, name: str) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    values: dict[str, Any] = {name: 1}

    assert (
        await database.fetch_val(f"SELECT balance FROM accounts WHERE id = :{name}", values) == 10
    )


async def test_one_name_that_begins_another(database: Database, outside: Outside) -> None:
    query = "INSERT INTO accounts (id, balance) VALUES (:a, :ab)"

    await database.execute(query, {"a": 1, "ab": 2})

    assert outside.rows(accounts.select()) == [(1, 2)]
