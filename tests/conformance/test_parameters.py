"""Parameters: lists that expand, missing and surplus names, values kept as they are."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import ParameterError
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.tables import accounts, notes, typed

FIVE_ACCOUNTS = [{"id": key, "balance": key * 10} for key in range(1, 6)]


@pytest.mark.parametrize("text", ["IN :ids", "IN (:ids)", "in ( :ids )", "IN\n:ids"])
@pytest.mark.parametrize("ids", [[1], [1, 3], (2, 3, 4), [5, 4, 3, 2, 1]])
async def test_a_list_expands_in_an_in_clause(
    database: Database, outside: Outside, text: str, ids: Sequence[int]
) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)

    rows = await database.fetch_all(f"SELECT id FROM accounts WHERE id {text}", {"ids": ids})

    assert sorted(row["id"] for row in rows) == sorted(ids)


@pytest.mark.parametrize("text", ["NOT IN :ids", "NOT IN (:ids)"])
async def test_a_list_expands_in_a_not_in_clause(
    database: Database, outside: Outside, text: str
) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)
    query = f"SELECT id FROM accounts WHERE id {text} AND balance > :low"

    rows = await database.fetch_all(query, {"ids": [2, 3], "low": 10})

    assert sorted(row["id"] for row in rows) == [4, 5]


@pytest.mark.parametrize("text", ["IN :ids", "IN (:ids)"])
async def test_an_empty_list_matches_nothing(
    database: Database, outside: Outside, text: str
) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)

    assert await database.fetch_all(f"SELECT id FROM accounts WHERE id {text}", {"ids": []}) == []


async def test_an_empty_list_excludes_nothing(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)

    rows = await database.fetch_all("SELECT id FROM accounts WHERE id NOT IN :ids", {"ids": []})

    assert len(rows) == 5


async def test_a_list_of_strings_expands(database: Database, outside: Outside) -> None:
    outside.insert(notes, {"text": "it's"}, {"text": "b"}, {"text": "c"})

    rows = await database.fetch_all(
        "SELECT text FROM notes WHERE text IN :texts", {"texts": ["it's", "c"]}
    )

    assert sorted(row["text"] for row in rows) == ["c", "it's"]


async def test_lists_of_other_lengths_one_after_another(
    database: Database, outside: Outside
) -> None:
    """The text is remembered: the number of values in it must not be."""
    outside.insert(accounts, *FIVE_ACCOUNTS)
    query = "SELECT id FROM accounts WHERE id IN :ids AND balance IN :balances"

    for ids, balances in (([1, 2], [10]), ([1], [10, 20]), ([3, 4, 5], [30, 50]), ([2], [20])):
        rows = await database.fetch_all(query, {"ids": ids, "balances": balances})
        expected = sorted(set(ids) & {balance // 10 for balance in balances})
        assert sorted(row["id"] for row in rows) == expected


async def test_lists_expand_in_every_verb(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)
    query = "SELECT id FROM accounts WHERE id IN :ids ORDER BY id"

    assert await database.fetch_val(query, {"ids": [2, 3]}) == 2
    one = await database.fetch_one(query, {"ids": [3, 4]})
    assert one is not None
    assert one["id"] == 3
    assert [row["id"] async for row in database.iterate(query, {"ids": [4, 5]})] == [4, 5]
    await database.execute("DELETE FROM accounts WHERE id IN :ids", {"ids": [1, 2]})
    await database.execute_many("DELETE FROM accounts WHERE id IN :ids", [{"ids": [3, 4]}])
    assert outside.column(accounts.c.id) == [5]


RAW_QUERY = "SELECT id FROM accounts WHERE id = :wanted AND balance = :amount"
QUERIES = {
    "raw": RAW_QUERY,
    "text": sa.text(RAW_QUERY),
    "core": accounts.select().where(
        accounts.c.id == sa.bindparam("wanted"), accounts.c.balance == sa.bindparam("amount")
    ),
}


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("values", [None, {}, {"wanted": 1}], ids=["none", "empty", "one"])
async def test_a_missing_parameter_is_an_error_that_names_it(
    database: Database, outside: Outside, kind: str, values: dict[str, Any] | None
) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)
    query: Any = QUERIES[kind]

    with pytest.raises(ValueError, match="amount"):
        await database.fetch_all(query, values)
    with pytest.raises(ValueError, match="amount"):
        await database.fetch_one(query, values)
    with pytest.raises(ValueError, match="amount"):
        await database.fetch_val(query, values)
    with pytest.raises(ValueError, match="amount"):
        await database.execute(query, values)
    with pytest.raises(ValueError, match="amount"):
        [row async for row in database.iterate(query, values)]


@pytest.mark.parametrize("kind", QUERIES)
async def test_a_surplus_parameter_is_an_error_that_names_it(database: Database, kind: str) -> None:
    query: Any = QUERIES[kind]

    with pytest.raises(ValueError, match="nonsense"):
        await database.fetch_all(query, {"wanted": 1, "amount": 1, "nonsense": 1})
    with pytest.raises(ValueError, match="nonsense"):
        await database.execute(query, {"wanted": 1, "amount": 1, "nonsense": 1})


async def test_a_surplus_parameter_of_a_query_without_any(database: Database) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await database.fetch_val("SELECT 1", {"nonsense": 1})


async def test_a_missing_parameter_is_never_null(database: Database, outside: Outside) -> None:
    with pytest.raises(ValueError, match="text"):
        await database.execute("INSERT INTO notes (text) VALUES (:text)")
    with pytest.raises(ValueError, match="text"):
        await database.execute(notes.insert().values(text=sa.bindparam("text_")))

    assert outside.count(notes) == 0


async def test_an_unknown_column_is_an_error_that_names_it(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(Exception, match="nonsense"):
        await database.execute(notes.insert(), {"text": "x", "nonsense": 1})
    with pytest.raises(Exception, match="nonsense"):
        await database.execute(notes.update(), {"nonsense": 1})

    assert outside.count(notes) == 0


@pytest.mark.parametrize("values", [[1], (1,), [{"text": "a"}, {"text": "b"}], "text", 5], ids=repr)
async def test_values_that_are_no_mapping_are_an_error(
    database: Database, values: Any, outside: Outside
) -> None:
    for query in ("INSERT INTO notes (text) VALUES (:text)", notes.insert()):
        with pytest.raises(ParameterError, match=r"mapping.*execute_many"):
            await database.execute(query, values)
        with pytest.raises(ParameterError, match="mapping"):
            await database.execute_many(query, [{"text": "first"}, values])

    assert outside.count(notes) == 0


async def test_the_connection_is_usable_after_a_parameter_error(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(ValueError, match="missing"):
            await connection.fetch_val("SELECT :missing")

        assert await connection.fetch_val("SELECT 1") == 1


async def test_the_values_given_are_not_changed(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *FIVE_ACCOUNTS)
    values: dict[str, Any] = {"ids": [1, 2]}

    await database.fetch_all("SELECT id FROM accounts WHERE id IN :ids", values)

    assert values == {"ids": [1, 2]}


async def test_names_that_begin_with_a_digit(database: Database, outside: Outside) -> None:
    query = "SELECT balance FROM accounts WHERE id = :1 AND balance = :2nd"
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 20})

    assert await database.fetch_val(query, {"1": 1, "2nd": 10}) == 10
    assert await database.fetch_val(query, {"1": 2, "2nd": 20}) == 20
    assert await database.fetch_val(query + " AND id IN :3", {"1": 2, "2nd": 20, "3": [1, 2]}) == 20
    assert await database.fetch_val(query + " AND id = :id", {"1": 2, "2nd": 20, "id": 2}) == 20
    await database.execute_many(
        "UPDATE accounts SET balance = :1 WHERE id = :id", [{"1": 5, "id": 1}, {"1": 6, "id": 2}]
    )
    assert outside.column(accounts.c.balance) == [5, 6]
    with pytest.raises(ValueError, match="no parameter '9'"):
        await database.fetch_val(query, {"1": 1, "2nd": 10, "9": 3})


@requires("arrays")
async def test_a_slice_is_none_of_the_names_that_begin_with_a_digit(database: Database) -> None:
    query = "SELECT (ARRAY[1,2,3])[:2] WHERE 1 = :1"

    assert await database.fetch_val(query, {"1": 1}) == [1, 2]
    assert await database.fetch_val("SELECT (ARRAY[1,2,3])[:2]") == [1, 2]


async def test_lists_of_tuples_one_after_another(database: Database, outside: Outside) -> None:
    for number, text in ((1, "a"), (2, "b"), (3, "c")):
        outside.insert(notes, {"id": number, "text": text})
    query = sa.text("SELECT id FROM notes WHERE (id, text) IN :pairs ORDER BY id").bindparams(
        sa.bindparam("pairs", expanding=True)
    )

    for pairs in ([(1, "a")], [(2, "b")], [(3, "x")], [(2, "b"), (3, "c")], [(1, "a"), (2, "b")]):
        found = await database.fetch_column(query, {"pairs": pairs})
        assert found == [number for number, text in pairs if text != "x"]


async def test_a_number_beside_a_column_of_whole_numbers(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 1}, {"id": 2, "balance": 2})
    balance = accounts.c.balance

    assert await database.fetch_column(sa.select(accounts.c.id).where(balance < 1.5)) == [1]
    assert await database.fetch_column(sa.select(accounts.c.id).where(balance > 1.5)) == [2]
    assert await database.fetch_val(sa.select(balance * 2.5).where(accounts.c.id == 1)) == 2.5
    half = decimal.Decimal("1.5")
    assert await database.fetch_val(sa.select(balance * half).where(accounts.c.id == 1)) == half
    await database.execute(sa.update(accounts).values(balance=balance * 2.5))
    assert max(outside.column(balance)) == 5


async def test_a_time_beside_a_column_of_dates(database: Database, outside: Outside) -> None:
    day = datetime.date(2020, 1, 1)
    outside.insert(typed, {"id": 1, "day": day})
    noon = sa.literal(datetime.datetime(2020, 1, 1, 12))

    assert await database.fetch_val(sa.select(typed.c.id).where(typed.c.day < noon)) == 1
