"""Inserts that meet a row that is there: what is told of them, one by one and many at once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.results import Result
from tests.conftest import MakeDatabase
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import codes, notes
from tests.support.upserts import RAW_IGNORING, RAW_UPSERT, ignoring, upsert

# aiomysql hands on MySQL's own warnings.
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate entry")


def nothing(driver: DriverCase) -> Any:
    """Return what `execute` tells of an INSERT expression that inserted nothing."""
    return None if driver.can("select_returns_value") else 0


async def test_an_ignored_insert_gives_no_key(database: Database, driver: DriverCase) -> None:
    await database.execute(codes.insert().values(id=7, code="there"))
    await database.execute(notes.insert().values(id=3, text="in between"))

    for values in ({"id": 7, "code": "there"}, {"id": 8, "code": "there"}, {"code": "there"}):
        assert await database.execute(ignoring(driver.dialect, **values)) == nothing(driver)


@requires("raw_insert_returns_key")
async def test_an_ignored_raw_insert_gives_zero(
    database: Database, driver: DriverCase, outside: Outside
) -> None:
    await database.execute("INSERT INTO codes (id, code) VALUES (7, 'there')")

    ignored = await database.execute(driver.text(**RAW_IGNORING), {"code": "there"})
    key = await database.execute(driver.text(**RAW_IGNORING), {"code": "new"})

    assert ignored == 0
    assert outside.rows(codes.select().order_by(codes.c.id)) == [(7, "there"), (key, "new")]


@requires("raw_insert_returns_key")
async def test_an_insert_from_a_select_without_rows_gives_zero(database: Database) -> None:
    await database.execute("INSERT INTO notes (id, text) VALUES (7, 'there')")
    query = "INSERT INTO codes (code) SELECT text FROM notes WHERE id = 0"

    assert await database.execute(query) == 0
    assert (
        await database.execute(
            codes.insert().from_select(
                ["code"], sa.select(notes.c.text).where(notes.c.id == sa.literal(0))
            )
        )
        == 0
    )


@requires("raw_insert_returns_key")
async def test_a_raw_upsert_gives_the_key_where_it_inserts(
    database: Database, driver: DriverCase, outside: Outside
) -> None:
    for number in (1, 2, 3):
        await database.execute("INSERT INTO notes (id, text) VALUES (:id, 'x')", {"id": number})
    query = driver.text(**RAW_UPSERT) + "'updated'"

    keys = [await database.execute(query, {"code": code}) for code in ("a", "b", "c")]

    assert outside.rows(sa.select(codes.c.id, codes.c.code).order_by(codes.c.id)) == [
        (keys[0], "a"),
        (keys[1], "b"),
        (keys[2], "c"),
    ]


@requires("file")
async def test_an_upsert_that_updates_gives_the_number_of_rows(database: Database) -> None:
    """As it was when every query had a connection of its own, and no earlier row."""
    await database.execute("INSERT INTO codes (id, code) VALUES (5, 'there')")
    await database.execute("INSERT INTO notes (id, text) VALUES (70, 'in between')")
    query = RAW_UPSERT["sqlite"] + "code"

    assert await database.execute(query, {"code": "there"}) == 1
    assert await database.execute(upsert("sqlite", "x", code="there")) == 1
    async with database.transaction(force_rollback=True):
        await database.execute("INSERT INTO notes (id, text) VALUES (71, 'in between')")
        assert await database.execute(query, {"code": "x"}) == 1


@requires("file")
@pytest.mark.parametrize("around", ["nothing", "transaction", "by hand"])
async def test_an_upsert_that_is_rolled_back_lets_a_stream_be(
    make_database: MakeDatabase, around: str
) -> None:
    """And it is told what it did, on a connection that has never seen another one."""
    query = RAW_UPSERT["sqlite"] + "'updated'"
    async with make_database() as database:
        await database.execute_many(
            "INSERT INTO notes (text) VALUES (:text)", [{"text": str(n)} for n in range(600)]
        )
    async with make_database() as database, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(database.connection())
        if around == "transaction":
            await stack.enter_async_context(database.transaction())
        await database.execute("INSERT INTO codes (id, code) VALUES (70, 'there')")
        seen = 0
        async for _ in database.iterate("SELECT text FROM notes, codes"):
            seen += 1
            if seen == 3 and around == "by hand":
                await database.execute("BEGIN")
                assert await database.execute(query, {"code": "there"}) == 1
                assert await database.execute(query, {"code": "new"}) == 71
                await database.execute("ROLLBACK")
            elif seen == 3:
                async with database.transaction(force_rollback=True):
                    assert await database.execute(query, {"code": "there"}) == 1
                    assert await database.execute(query, {"code": "new"}) == 71

        assert seen == 600


async def test_run_tells_no_key_of_an_insert_that_was_ignored(
    database: Database, driver: DriverCase
) -> None:
    await database.run(codes.insert().values(id=5, code="a"))
    await database.run(codes.insert().values(id=6, code="b"))

    assert await database.run(ignoring(driver.dialect, code="a")) == Result(0, None, None, [])


async def test_run_tells_no_key_of_an_upsert_that_it_cannot_know(
    database: Database, driver: DriverCase
) -> None:
    await database.run(codes.insert().values(id=5, code="a"))

    result = await database.run(upsert(driver.dialect, "b", id=9, code="a"))

    assert result.inserted_primary_key is None


@requires("file")
async def test_run_tells_no_row_id_of_an_upsert_that_updates(database: Database) -> None:
    await database.run("INSERT INTO codes (id, code) VALUES (5, 'there')")
    await database.run("INSERT INTO notes (id, text) VALUES (70, 'in between')")

    result = await database.run(RAW_UPSERT["sqlite"] + "code", {"code": "there"})

    assert (result.rowcount, result.lastrowid) == (1, None)


@pytest.mark.parametrize("became", [":became", "'100%'", "'100%s'", "'%(x)s'", "'a:b'"])
async def test_many_raw_upserts(
    database: Database, driver: DriverCase, outside: Outside, became: str
) -> None:
    await database.execute("INSERT INTO codes (id, code) VALUES (7, 'there')")
    rows = [{"code": code} for code in ("new", "there", "last")]
    if became == ":became":
        rows = [{**row, "became": "param"} for row in rows]

    await database.execute_many(driver.text(**RAW_UPSERT) + became, rows)

    changed = "param" if became == ":became" else became.strip("'")
    assert set(outside.column(codes.c.code)) == {changed, "last", "new"}


@pytest.mark.parametrize("became", ["fixed", sa.literal_column("'5%'"), codes.c.code + "!"])
async def test_many_upserts_as_expressions(
    database: Database, driver: DriverCase, outside: Outside, became: Any
) -> None:
    await database.execute(codes.insert().values(id=7, code="there"))

    await database.execute_many(
        upsert(driver.dialect, became), [{"code": "new"}, {"code": "there"}, {"code": "last"}]
    )

    changed = became if isinstance(became, str) else "5%"
    if isinstance(became, sa.BinaryExpression):
        changed = "there!"
    assert set(outside.column(codes.c.code)) == {changed, "last", "new"}


@pytest.mark.parametrize("is_core", [True, False], ids=["core", "raw"])
@requires("insert_returning")
async def test_many_rows_that_return_something(
    database: Database, outside: Outside, *, is_core: bool
) -> None:
    query: Any = "INSERT INTO codes (code) VALUES (:code) RETURNING id"
    if is_core:
        query = codes.insert().returning(codes.c.id)

    assert await database.execute_many(query, [{"code": "a"}, {"code": "b"}]) is None  # type: ignore[func-returns-value]  # the claim

    assert outside.column(codes.c.code) == ["a", "b"]


async def test_many_selects(database: Database) -> None:
    query = "SELECT id FROM codes WHERE id = :id"

    assert await database.execute_many(query, [{"id": 1}, {"id": 2}]) is None  # type: ignore[func-returns-value]  # the claim
    assert await database.fetch_val("SELECT 42") == 42


@requires("update_returning")
async def test_many_updates_that_return_something_are_all_or_nothing(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(codes, {"id": 1, "code": "a"}, {"id": 2, "code": "b"}, {"id": 3, "code": "c"})
    query = "UPDATE codes SET code = :code WHERE id = :id RETURNING id"

    with pytest.raises(driver.integrity_error):
        await database.execute_many(query, [{"id": 1, "code": "x"}, {"id": 2, "code": "c"}])

    assert set(outside.column(codes.c.code)) == {"a", "b", "c"}


@pytest.mark.parametrize("text", ["", " ", ";", "-- nothing", "/* nothing */", "-- nothing\n;"])
async def test_a_statement_without_words_does_nothing(
    database: Database, driver: DriverCase, text: str
) -> None:
    with contextlib.suppress(driver.error):  # some drivers and servers refuse it
        assert await database.execute(text) in (None, 0, -1)
    async with database.transaction():
        with contextlib.suppress(driver.error):
            await database.execute(text)
        assert await database.fetch_val("SELECT 42") == 42
