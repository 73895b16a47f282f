"""Values that ``.params()`` gives an expression, as SQLAlchemy does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.outside import Outside
from tests.support.tables import accounts, notes

_id = accounts.c.id
_one = sa.select(accounts.c.balance).where(_id == sa.bindparam("x", 1))
_any = sa.select(accounts.c.balance).where(_id == sa.bindparam("x"))
_text = "SELECT balance FROM accounts WHERE id = :x"

# Each finds the balance of the account *x*.
QUERIES: dict[str, Callable[[int], Any]] = {
    "select": lambda x: _any.params(x=x),
    "select with a value of its own": lambda x: _one.params(x=x),
    "the last counts": lambda x: _one.params(x=99).params(x=x),
    "text": lambda x: sa.text(_text).params(x=x),
    "text with a value of its own": lambda x: sa.text(_text).bindparams(x=1).params(x=x),
    "text with columns": lambda x: sa.text(_text).columns(balance=sa.Integer).params(x=x),
    "union": lambda x: sa.union(_one, _one).params(x=x),
    "inside a union": lambda x: sa.union(_one.params(x=x), sa.select(_id).where(_id < 0)),
    "subquery": lambda x: sa.select(_one.params(x=x).subquery().c.balance),
    "scalar subquery": lambda x: sa.select(_one.params(x=x).scalar_subquery()),
    "outside of a subquery": lambda x: sa.select(_one.subquery().c.balance).params(x=x),
    "CTE": lambda x: sa.select(_one.params(x=x).cte().c.balance),
    "list": lambda x: (
        sa.select(accounts.c.balance)
        .where(_id.in_(sa.bindparam("x", expanding=True)))
        .params(x=[x])
    ),
    "a name that it has not": lambda x: _one.params(x=x, nothing=5),
}


@pytest_asyncio.fixture(params=[0, 512], ids=["uncached", "cached"])
async def filled(
    make_database: MakeDatabase, outside: Outside, request: pytest.FixtureRequest
) -> AsyncIterator[Database]:
    """Give a database with three accounts, with a cache of statements or without one."""
    for key in (1, 2, 3):
        outside.insert(accounts, {"id": key, "balance": key * 10})
    async with make_database(query_cache_size=request.param) as database:
        yield database


@pytest.mark.parametrize("query", QUERIES)
async def test_params_count_each_time(filled: Database, query: str) -> None:
    for x in (2, 3, 1, 2):
        assert await filled.fetch_val(QUERIES[query](x)) == x * 10


async def test_params_do_not_stay_with_the_statement(filled: Database) -> None:
    assert await filled.fetch_val(_one) == 10
    assert await filled.fetch_val(_one.params(x=2)) == 20
    assert await filled.fetch_val(_one) == 10


async def test_a_value_of_its_own_does_not_stay_with_the_statement(filled: Database) -> None:
    """SQLAlchemy's cache key is the same, with a value or without."""
    update = accounts.update().where(_id == 1)
    assert await filled.fetch_val(_one) == 10
    await filled.execute(update.values(balance=sa.bindparam("x", 10)))
    in_list = sa.select(_id).where(_id.in_([1]))
    assert await filled.fetch_val(in_list.where(_id == sa.bindparam("x", 1))) == 1

    for query in (
        _any,
        update.values(balance=sa.bindparam("x")),
        in_list.where(_id == sa.bindparam("x")),
    ):
        with pytest.raises(ValueError, match="no value for 'x'"):
            await filled.fetch_val(query)
    with pytest.raises(ValueError, match="no value for 'x'"):
        await filled.execute_many(
            accounts.update().where(_id == sa.bindparam("x")), [{"balance": 1}]
        )


async def test_none_is_a_value_of_its_own(filled: Database) -> None:
    none: sa.BindParameter[Any] = sa.bindparam("x", None)

    for _ in range(2):
        assert await filled.fetch_all(sa.select(_id).where(_id == none)) == []


async def test_values_count_more_than_params(filled: Database) -> None:
    assert await filled.fetch_val(_one.params(x=2), {"x": 3}) == 30
    assert await filled.fetch_val(_any.params(x=2), {"x": 3}) == 30
    assert await filled.fetch_val(_any.params(x=2)) == 20


async def test_params_give_some_and_values_the_others(filled: Database) -> None:
    query = (
        sa.select(_id).where(_id >= sa.bindparam("low"), _id < sa.bindparam("high")).order_by(_id)
    )

    assert [row[0] for row in await filled.fetch_all(query.params(low=2), {"high": 3})] == [2]
    assert [row[0] for row in await filled.fetch_all(query.params(high=3), {"low": 1})] == [1, 2]


async def test_a_surplus_value_is_an_error_beside_params_too(filled: Database) -> None:
    await filled.fetch_val(_one.params(x=1, surplus=1))

    with pytest.raises(ValueError, match="'surplus'"):
        await filled.fetch_val(_one, {"surplus": 1})
    with pytest.raises(ValueError, match="'surplus'"):
        await filled.fetch_val(_one.params(x=1), {"surplus": 1})


async def test_params_inside_a_change(filled: Database, outside: Outside) -> None:
    chosen = sa.select(notes.c.id).where(notes.c.text == sa.bindparam("wanted", "none"))
    outside.insert(notes, {"id": 2, "text": "this", "completed": False})

    changed = await filled.execute(
        accounts.update().where(_id.in_(chosen.params(wanted="this"))), {"balance": 5}
    )
    added = accounts.insert().from_select(
        ["id", "balance"], sa.select(_id + 10, accounts.c.balance).where(_id == sa.bindparam("x"))
    )
    await filled.execute(added, {"x": 1})

    assert changed == 1
    assert outside.rows(sa.select(_id, accounts.c.balance).order_by(_id)) == [
        (1, 10),
        (2, 5),
        (3, 30),
        (11, 10),
    ]


async def test_params_in_execute_many(filled: Database, outside: Outside) -> None:
    chosen = sa.select(_id).where(_id <= sa.bindparam("most", 1))
    query = accounts.update().where(
        _id.in_(sa.select(chosen.params(most=2).subquery().c.id)), _id == sa.bindparam("key")
    )

    await filled.execute_many(query, [{"key": key, "balance": 0} for key in (1, 2, 3)])

    rows = outside.rows(sa.select(_id, accounts.c.balance).order_by(_id))
    assert rows == [(1, 0), (2, 0), (3, 30)]


async def test_params_while_iterating(filled: Database) -> None:
    assert [row[0] async for row in filled.iterate(_one.params(x=3))] == [30]


async def test_params_of_an_expression_that_is_not_cached(filled: Database) -> None:
    class Plain(sa.TypeDecorator[int]):
        impl = sa.Integer
        cache_ok = False

    plain = sa.table("accounts", sa.column("id", Plain()), sa.column("balance", sa.Integer))
    chosen = sa.select(plain.c.balance).where(plain.c.id == sa.bindparam("x", 1))
    wanted = sa.select(plain.c.balance).where(plain.c.id.in_(sa.bindparam("x", expanding=True)))
    assert chosen._generate_cache_key() is None

    assert await filled.fetch_val(chosen.params(x=2)) == 20
    assert await filled.fetch_val(sa.select(chosen.params(x=3).subquery().c.balance)) == 30
    assert await filled.fetch_val(wanted.params(x=[3])) == 30
    assert await filled.fetch_val(chosen.params(x=2), {"x": 3}) == 30
    assert await filled.fetch_val(chosen.params(x=2, nothing=1)) == 20
    assert await filled.fetch_val(chosen.subquery().select().params(x=2)) == 20
    assert await filled.fetch_val(chosen) == 10
    with pytest.raises(ValueError, match="'nothing'"):
        await filled.fetch_val(chosen.params(x=2), {"nothing": 1})
