"""`execute_many`: all rows or none, in the driver's bulk path."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import Mood, accounts, codes, notes, typed

RAW_INSERT = "INSERT INTO codes (code) VALUES (:code)"


@pytest.mark.parametrize("values", [None, []], ids=["none", "empty"])
async def test_no_rows_do_nothing(
    database: Database, outside: Outside, values: list[dict[str, object]] | None
) -> None:
    await database.execute_many(notes.insert(), values)
    await database.execute_many("INSERT INTO notes (text) VALUES (:text)", values)
    await database.execute_many("DELETE FROM accounts", values)

    assert outside.count(notes) == 0


async def test_one_row(database: Database, outside: Outside) -> None:
    await database.execute_many(codes.insert(), [{"code": "a"}])
    await database.execute_many(RAW_INSERT, [{"code": "b"}])

    assert outside.column(codes.c.code) == ["a", "b"]


async def test_thousand_rows(database: Database, outside: Outside) -> None:
    rows = [{"id": number, "balance": number % 7} for number in range(1000)]

    await database.execute_many(accounts.insert(), rows)

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [
        (row["id"], row["balance"]) for row in rows
    ]


@pytest.mark.parametrize("query", [RAW_INSERT, codes.insert()], ids=["raw", "core"])
async def test_a_row_that_fails_leaves_none_behind(
    database: Database, outside: Outside, driver: DriverCase, query: sa.ClauseElement | str
) -> None:
    rows = [{"code": code} for code in ("a", "b", "c", "a", "d")]

    with pytest.raises(driver.integrity_error):
        await database.execute_many(query, rows)

    assert outside.count(codes) == 0


async def test_a_last_row_that_fails_leaves_none_behind(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    rows = [{"code": str(number)} for number in range(300)]

    with pytest.raises(driver.integrity_error):
        await database.execute_many(codes.insert(), [*rows, {"code": "0"}])

    assert outside.count(codes) == 0


async def test_rows_of_different_keys_are_all_or_nothing_together(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    """Rows of different keys cannot be one bulk call: the transaction must hold them together."""
    rows: list[dict[str, Any]] = [
        {"code": "a"},
        {"id": 500, "code": "b"},
        {"code": "c"},
        {"id": 501, "code": "a"},
    ]

    with pytest.raises(driver.integrity_error):
        await database.execute_many(codes.insert(), rows)

    assert outside.count(codes) == 0


async def test_a_row_that_fails_inside_a_transaction_leaves_the_rest_of_it(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    async with database.transaction():
        await database.execute(codes.insert().values(code="before"))
        with pytest.raises(driver.integrity_error):
            await database.execute_many(codes.insert(), [{"code": "x"}, {"code": "before"}])
        await database.execute(codes.insert().values(code="after"))

    assert outside.column(codes.c.code) == ["after", "before"]


async def test_inside_a_transaction_it_is_rolled_back_with_it(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        await database.execute_many(codes.insert(), [{"code": "a"}, {"code": "b"}])
        assert len(await database.fetch_all(codes.select())) == 2

    assert outside.count(codes) == 0


async def test_it_is_committed_at_once_outside_a_transaction(
    database: Database, outside: Outside
) -> None:
    async with database.connection() as connection:
        await connection.execute_many(codes.insert(), [{"code": "a"}, {"code": "b"}])

        assert outside.count(codes) == 2


async def test_update_with_bindparams(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 0}, {"id": 2, "balance": 0})
    query = accounts.update().where(accounts.c.id == sa.bindparam("key"))

    await database.execute_many(
        query.values(balance=sa.bindparam("amount")),
        [{"key": 1, "amount": 10}, {"key": 2, "amount": 20}],
    )

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 10), (2, 20)]


async def test_update_and_delete_as_strings(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *({"id": key, "balance": 0} for key in range(1, 5)))

    await database.execute_many(
        "UPDATE accounts SET balance = :amount WHERE id = :key",
        [{"key": 1, "amount": 10}, {"key": 2, "amount": 20}],
    )
    await database.execute_many("DELETE FROM accounts WHERE id = :key", [{"key": 3}, {"key": 4}])

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 10), (2, 20)]


async def test_values_are_converted_by_their_columns_types(
    database: Database, outside: Outside
) -> None:
    rows = [
        {"mood": Mood.HAPPY, "document": {"a": [1]}, "shouted": "Loud"},
        {"mood": Mood.SAD, "document": [1, 2], "shouted": "Quiet"},
    ]

    await database.execute_many(typed.insert(), rows)

    query = sa.select(typed.c.mood, typed.c.document, typed.c.shouted).order_by(typed.c.id)
    assert outside.rows(query) == [
        (Mood.HAPPY, {"a": [1]}, "LOUD"),
        (Mood.SAD, [1, 2], "QUIET"),
    ]


async def test_the_values_given_are_not_changed(database: Database) -> None:
    rows = [{"code": "a"}, {"code": "b"}]

    await database.execute_many(codes.insert(), rows)
    await database.execute_many("DELETE FROM codes WHERE code = :code", rows)

    assert rows == [{"code": "a"}, {"code": "b"}]


async def test_a_missing_parameter_in_any_row_is_an_error(
    database: Database, outside: Outside
) -> None:
    query = "INSERT INTO accounts (id, balance) VALUES (:id, :balance)"

    with pytest.raises(ValueError, match="balance"):
        await database.execute_many(query, [{"id": 1, "balance": 1}, {"id": 2}])

    assert outside.count(accounts) == 0


async def test_a_surplus_parameter_in_any_row_is_an_error(
    database: Database, outside: Outside
) -> None:
    query = "INSERT INTO accounts (id, balance) VALUES (:id, :balance)"
    rows = [{"id": 1, "balance": 1}, {"id": 2, "balance": 2, "extra": 3}]

    with pytest.raises(ValueError, match="extra"):
        await database.execute_many(query, rows)

    assert outside.count(accounts) == 0


async def test_an_unknown_column_in_any_row_is_an_error(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(Exception, match="nonsense"):
        await database.execute_many(codes.insert(), [{"code": "a"}, {"code": "b", "nonsense": 1}])

    assert outside.count(codes) == 0


async def test_nulls_and_values_may_alternate(database: Database, outside: Outside) -> None:
    rows: list[dict[str, Any]] = [{"text": None}, {"text": "a"}, {"text": None}]

    await database.execute_many(notes.insert(), rows)
    await database.execute_many("INSERT INTO notes (text) VALUES (:text)", rows)

    assert [text for (text,) in outside.rows(sa.select(notes.c.text))].count(None) == 4


def _accounts(count: int) -> Iterator[dict[str, int]]:
    return ({"id": number, "balance": number % 7} for number in range(count))


async def _coming(rows: Iterable[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for row in rows:
        yield row


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_rows_from_a_generator(database: Database, outside: Outside, is_async: bool) -> None:
    rows = _coming(_accounts(2500)) if is_async else _accounts(2500)

    await database.execute_many(accounts.insert(), rows)

    assert outside.count(accounts) == 2500


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_generator_without_rows_does_nothing(
    database: Database, outside: Outside, is_async: bool
) -> None:
    await database.execute_many(notes.insert(), _coming(()) if is_async else iter(()))

    assert outside.count(notes) == 0


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_generator_that_fails_leaves_none_behind(
    database: Database, outside: Outside, is_async: bool
) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from _accounts(2500)
        raise LookupError("no more")

    with pytest.raises(LookupError):
        await database.execute_many(accounts.insert(), _coming(rows()) if is_async else rows())

    assert outside.count(accounts) == 0
    assert await database.fetch_val("SELECT COUNT(*) FROM accounts") == 0


async def test_a_bad_row_late_in_a_generator_leaves_none_behind(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    rows = [*_accounts(2500), {"id": 1, "balance": 0}]

    with pytest.raises(driver.integrity_error):
        await database.execute_many(accounts.insert(), _coming(rows))

    assert outside.count(accounts) == 0


async def test_rows_from_a_query_on_the_same_connection(
    database: Database, outside: Outside
) -> None:
    await database.execute_many(accounts.insert(), _accounts(2500))
    read = database.iterate(accounts.select().where(accounts.c.id < 10_000))
    shifted = ({"id": row["id"] + 10_000, "balance": row["balance"]} async for row in read)

    await database.execute_many(accounts.insert(), shifted)

    assert outside.count(accounts) == 5000


async def test_rows_from_a_generator_inside_a_transaction(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        await database.execute_many(accounts.insert(), _coming(_accounts(2500)))
        assert await database.fetch_val("SELECT COUNT(*) FROM accounts") == 2500

    assert outside.count(accounts) == 0


async def test_a_pipeline_that_psycopg_could_not_leave(
    make_database: MakeDatabase, driver: DriverCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On such a connection every later statement would wait for ever."""
    if driver.name != "psycopg":
        pytest.skip("only psycopg has a pipeline")
    pipelines = importlib.import_module("psycopg._pipeline")
    database = make_database(max_size=1)
    await database.connect()
    with monkeypatch.context() as patched:
        patched.setattr(pipelines.BasePipeline, "_exit", lambda *_: None)
        # Newer releases of psycopg assert that they have left it.
        with pytest.raises((driver.error, AssertionError)):
            await database.execute_many(notes.insert(), [{"text": "one"}, {"text": "two"}])

    count = sa.select(sa.func.count()).select_from(notes)
    assert await asyncio.wait_for(database.fetch_val(count), 5) == 0
