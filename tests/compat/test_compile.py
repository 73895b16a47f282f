"""``_dialect`` and ``_compile``: what programs do with queries below the facade."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from databases import Database
from databases.backends.compilers.psycopg import APGCompiler_psycopg2
from databases.backends.dialects.psycopg import dialect as psycopg_dialect
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes, typed

BY_TEXT = sa.select(notes.c.id, notes.c.text).where(notes.c.text == "wanted")


async def _run(raw: Any, driver: DriverCase, text: str, arguments: Any) -> list[tuple[Any, ...]]:
    """Run on the raw connection what `_compile` gave, as derived backends do."""
    if driver.name == "asyncpg":
        return [tuple(row) for row in await raw.fetch(text, *arguments)]
    is_numbered = driver.name == "psycopg" and "$1" in text
    async with psycopg.AsyncRawCursor(raw) if is_numbered else raw.cursor() as cursor:
        await cursor.execute(text, arguments or None)
        return [tuple(row) for row in await cursor.fetchall()]


def _psycopg() -> Any:
    make: Any = psycopg_dialect
    return make(paramstyle="pyformat")


@pytest.fixture
def dialect(database: Any) -> Any:
    """Give the dialect of a connected backend."""
    return database._backend._dialect


async def test_dialect_is_one_of_sqlalchemy(dialect: Any, driver: DriverCase) -> None:
    assert isinstance(dialect, sa.Dialect)
    assert dialect.name == driver.dialect


async def test_dialect_compiles_queries(dialect: Any) -> None:
    compiled = BY_TEXT.compile(dialect=dialect)

    assert "SELECT notes.id, notes.text" in str(compiled)
    assert list(compiled.params.values()) == ["wanted"]


async def test_dialect_compiles_queries_with_literal_binds(dialect: Any) -> None:
    compiled = BY_TEXT.compile(dialect=dialect, compile_kwargs={"literal_binds": True})

    assert "notes.text = 'wanted'" in str(compiled)


async def test_what_the_dialect_compiles_runs_on_the_raw_connection(
    database: Any, driver: DriverCase, dialect: Any, outside: Outside
) -> None:
    outside.insert(notes, {"id": 1, "text": "wanted"}, {"id": 2, "text": "100%"})
    query = (
        sa.select(notes.c.id)
        .where(notes.c.text.like(sa.literal_column("'w%'")) | (notes.c.text == "100%"))
        .where(notes.c.id.in_([3, 1]), notes.c.completed.is_not(sa.true()))
    )
    compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})

    text, arguments = _by_name(compiled, driver)
    async with database.connection() as connection:
        rows = await _run(connection.raw_connection, driver, text, arguments)

    assert rows == [(1,)]


def _by_name(compiled: Any, driver: DriverCase) -> tuple[str, Any]:
    """Make of *compiled* what the driver wants, as programs do that send it themselves."""
    if driver.name == "aiosqlite":
        return compiled.string, [compiled.params[name] for name in compiled.positiontup]
    if driver.name != "asyncpg":
        return compiled.string, compiled.params
    names = sorted(compiled.params)
    numbers = {name: f"${n}" for n, name in enumerate(names, 1)}
    return compiled.string % numbers, [compiled.params[name] for name in names]


async def test_compile_gives_text_and_arguments_first(
    database: Any, driver: DriverCase, outside: Outside
) -> None:
    outside.insert(notes, {"id": 1, "text": "wanted"}, {"id": 2, "text": "other"})

    async with database.connection() as connection:
        text, arguments = connection._connection._compile(BY_TEXT)[:2]
        rows = await _run(connection.raw_connection, driver, text, arguments)

    assert isinstance(text, str)
    assert rows == [(1, "wanted")]


async def test_compile_takes_text_clauses(database: Any, driver: DriverCase) -> None:
    query = sa.text("SELECT :a + 0, :b + 0").bindparams(a=1, b=2)

    async with database.connection() as connection:
        text, arguments = connection._connection._compile(query)[:2]
        rows = await _run(connection.raw_connection, driver, text, arguments)

    assert rows == [(1, 2)]


async def test_compile_takes_queries_without_parameters(database: Any, driver: DriverCase) -> None:
    query = sa.text("SELECT '100 %', '%s', '?'")

    async with database.connection() as connection:
        text, arguments = connection._connection._compile(query)[:2]
        rows = await _run(connection.raw_connection, driver, text, arguments)

    assert rows == [("100 %", "%s", "?")]


async def test_compile_expands_in_lists(
    database: Any, driver: DriverCase, outside: Outside
) -> None:
    outside.insert(notes, {"id": 1}, {"id": 2}, {"id": 3})
    query = sa.select(notes.c.id).where(notes.c.id.in_([1, 3])).order_by(notes.c.id)

    async with database.connection() as connection:
        text, arguments = connection._connection._compile(query)[:2]
        rows = await _run(connection.raw_connection, driver, text, arguments)

    assert rows == [(1,), (3,)]


async def test_compile_works_without_an_acquired_connection(database: Any) -> None:
    connection = database.connection()._connection

    text, arguments = connection._compile(BY_TEXT)[:2]

    assert "notes" in text
    assert "wanted" in (arguments.values() if isinstance(arguments, dict) else arguments)


async def test_json_serializer_set_on_the_dialect_is_honoured(
    database: Any, outside: Outside
) -> None:
    def serializer(value: Any) -> str:
        return json.dumps({"wrapped": value})

    database._backend._dialect._json_serializer = serializer

    await database.execute(typed.insert().values(document=[1]))
    await database.execute(typed.insert(), {"document": [2]})
    await database.execute_many(typed.insert(), [{"document": [3]}, {"document": [4]}])

    stored = await database.fetch_all(sa.select(typed.c.document).order_by(typed.c.id))
    assert [row["document"] for row in stored] == [{"wrapped": [n]} for n in (1, 2, 3, 4)]


async def test_json_serializer_set_after_other_queries_is_honoured(
    database: Any, outside: Outside
) -> None:
    await database.execute(notes.insert().values(text="first"))

    database._backend._dialect._json_serializer = lambda value: '"changed"'

    await database.execute(typed.insert(), {"document": [1]})
    assert await database.fetch_val(sa.select(typed.c.document)) == "changed"


async def test_json_serializer_set_before_connect_is_honoured(outside: Outside) -> None:
    database: Any = Database(outside.url)
    database._backend._dialect._json_serializer = lambda value: '"changed"'

    async with database:
        await database.execute(typed.insert(), {"document": [1]})

        assert await database.fetch_val(sa.select(typed.c.document)) == "changed"


def test_dialect_of_psycopg_can_be_made_and_compiles() -> None:
    dialect = _psycopg()

    compiled = BY_TEXT.compile(dialect=dialect)

    assert dialect.name == "postgresql"
    assert "%(text_1)s" in str(compiled)
    assert compiled.params == {"text_1": "wanted"}


def test_dialect_of_psycopg_knows_the_types_of_postgresql() -> None:
    column: sa.Column[Any] = sa.Column("a", postgresql.ARRAY(sa.Integer))

    compiled = sa.select(column).compile(dialect=_psycopg())

    assert str(compiled) == "SELECT a"


def test_compiler_of_psycopg_is_a_compiler_of_postgresql() -> None:
    assert issubclass(APGCompiler_psycopg2, postgresql.base.PGCompiler)


def test_compiler_of_psycopg_fills_defaults_in() -> None:
    table = sa.Table(
        "defaulted",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("constant", sa.Integer, default=42),
        sa.Column("called", sa.String, default=lambda: "made"),
    )
    dialect = _psycopg()
    dialect.statement_compiler = APGCompiler_psycopg2

    compiled = table.insert().values(id=1).compile(dialect=dialect)

    assert compiled.construct_params() == {"id": 1, "constant": 42, "called": "made"}
