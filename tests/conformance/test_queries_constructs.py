"""Queries of every kind that SQLAlchemy can build."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from databases import Database
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import Mood, User, accounts, codes, notes

TWO_ACCOUNTS = ({"id": 1, "balance": 10}, {"id": 2, "balance": 20})


async def test_text_with_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    query = sa.text("SELECT id FROM accounts WHERE balance = :balance")

    assert await database.fetch_val(query, {"balance": 20}) == 2


async def test_text_with_bound_params(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    query = sa.text("SELECT id FROM accounts WHERE balance = :balance").bindparams(balance=10)

    assert await database.fetch_val(query) == 1
    assert await database.fetch_val(query, {"balance": 20}) == 2


async def test_text_with_columns_converts_by_their_types(
    database: Database, outside: Outside
) -> None:
    outside.insert(notes, {"text": "x", "completed": True})

    query = sa.text("SELECT completed FROM notes").columns(completed=sa.Boolean)

    assert await database.fetch_val(query) is True


async def test_text_in_a_where_clause(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    query = sa.select(accounts.c.id).where(sa.text("balance = :balance"))

    assert await database.fetch_val(query, {"balance": 20}) == 2


async def test_text_insert_executes(database: Database, outside: Outside) -> None:
    query = sa.text("INSERT INTO accounts (id, balance) VALUES (:id, :balance)")

    await database.execute(query, {"id": 1, "balance": 2})
    await database.execute_many(query, [{"id": 2, "balance": 3}, {"id": 3, "balance": 4}])

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 2), (2, 3), (3, 4)]


async def test_bindparam_in_a_select(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    query = sa.select(accounts.c.balance).where(accounts.c.id == sa.bindparam("key"))

    assert await database.fetch_val(query, {"key": 1}) == 10
    assert await database.fetch_val(query, {"key": 2}) == 20


async def test_bindparam_with_a_value_of_its_own(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    query = sa.select(accounts.c.balance).where(accounts.c.id == sa.bindparam("key", 1))

    assert await database.fetch_val(query) == 10
    assert await database.fetch_val(query, {"key": 2}) == 20


async def test_expanding_bindparam(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    query = sa.select(accounts.c.id).where(accounts.c.id.in_(sa.bindparam("keys", expanding=True)))

    assert len(await database.fetch_all(query, {"keys": [1, 2, 3]})) == 2
    assert len(await database.fetch_all(query, {"keys": [2]})) == 1
    assert len(await database.fetch_all(query, {"keys": []})) == 0


async def test_bindparam_in_an_update_with_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    query = accounts.update().where(accounts.c.id == sa.bindparam("key"))

    await database.execute(query.values(balance=99), {"key": 1})
    await database.execute(query, {"key": 2, "balance": 77})

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 99), (2, 77)]


async def test_bindparam_in_an_insert(database: Database, outside: Outside) -> None:
    query = accounts.insert().values(id=sa.bindparam("key"), balance=sa.bindparam("amount"))

    await database.execute(query, {"key": 5, "amount": 50})

    assert outside.rows(accounts.select()) == [(5, 50)]


async def test_bindparam_in_a_delete(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    await database.execute(
        accounts.delete().where(accounts.c.id == sa.bindparam("key")), {"key": 1}
    )

    assert outside.column(accounts.c.id) == [2]


async def test_join_with_labels(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    outside.insert(codes, {"id": 2, "code": "two"})
    query = sa.select(accounts.c.id.label("account"), codes.c.code.label("name")).join_from(
        accounts, codes, accounts.c.id == codes.c.id
    )

    rows = await database.fetch_all(query)

    assert [(row["account"], row["name"]) for row in rows] == [(2, "two")]


async def test_aggregate_and_group_by(database: Database, outside: Outside) -> None:
    outside.insert(notes, *({"text": text, "completed": True} for text in "aab"))
    total = sa.func.count().label("total")
    query = sa.select(notes.c.text, total).group_by(notes.c.text).order_by(notes.c.text)

    rows = await database.fetch_all(query)

    assert [(row["text"], row["total"]) for row in rows] == [("a", 2), ("b", 1)]
    assert rows[0][total] == 2


async def test_what_is_grouped_and_sorted_by_has_a_parameter(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    if driver.name == "psycopg" and not hasattr(psycopg, "AsyncRawCursor"):
        pytest.skip("psycopg 3.2 and newer number parameters")
    for number in range(1, 5):
        outside.insert(notes, {"id": number, "text": "a" if number % 2 else "b"})
    rest = notes.c.id % 2
    told = sa.func.coalesce(notes.c.text, "nothing")

    for by in (rest, told):
        grouped = await database.fetch_all(sa.select(by, sa.func.count()).group_by(by).order_by(by))
        assert [row[1] for row in grouped] == [2, 2]
        found = await database.fetch_column(sa.select(by).distinct().order_by(by))
        assert found == [grouped[0][0], grouped[1][0]]


async def test_subquery_exists_and_union(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    rich = sa.select(accounts.c.id).where(accounts.c.balance > 15).subquery()
    union = sa.union_all(sa.select(accounts.c.id), sa.select(rich.c.id))

    assert await database.fetch_val(sa.select(rich.c.id)) == 2
    assert await database.fetch_val(sa.select(sa.exists().where(accounts.c.id == 1))) in (True, 1)
    assert sorted(row[0] for row in await database.fetch_all(union)) == [1, 2, 2]


async def test_common_table_expression(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    rich = sa.select(accounts.c.id).where(accounts.c.balance > 15).cte("rich")

    assert await database.fetch_val(sa.select(rich.c.id)) == 2


async def test_case_and_literal(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    size = sa.case((accounts.c.balance > 15, "much"), else_="little").label("size")

    rows = await database.fetch_all(sa.select(size).order_by(accounts.c.id))

    assert [row["size"] for row in rows] == ["little", "much"]


async def test_insert_from_select(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    source = sa.select(accounts.c.id + 10, accounts.c.balance)

    await database.execute(accounts.insert().from_select(["id", "balance"], source))

    assert outside.column(accounts.c.id) == [1, 2, 11, 12]


async def test_for_update_in_a_transaction(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    async with database.transaction():
        query = sa.select(accounts.c.balance).where(accounts.c.id == 1).with_for_update()
        assert await database.fetch_val(query) == 10


async def test_ddl_elements(database: Database, outside: Outside) -> None:
    scratch = sa.Table(
        "scratch",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer),
    )

    await database.execute(sa.schema.CreateTable(scratch))
    await database.execute(sa.schema.CreateIndex(sa.Index("scratch_n", scratch.c.n)))
    await database.execute(scratch.insert().values(id=1, n=2))

    assert outside.rows("SELECT id, n FROM scratch") == [(1, 2)]

    await database.execute(sa.schema.DropTable(scratch))

    assert "scratch" not in sa.inspect(outside.connection).get_table_names()


def ddl(statement: str) -> sa.DDL:
    return sa.DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


async def test_ddl_string_element(database: Database, outside: Outside) -> None:
    await database.execute(ddl("CREATE TABLE scratch (id INTEGER)"))

    assert outside.count(sa.Table("scratch", sa.MetaData())) == 0

    await database.execute(ddl("DROP TABLE scratch"))


async def test_select_of_a_mapped_class(database: Database, outside: Outside) -> None:
    outside.run(sa.insert(User), {"id": 1, "name": "Ada", "mood": Mood.HAPPY})

    row = await database.fetch_one(sa.select(User).where(User.name == "Ada"))

    assert row is not None
    assert dict(row) == {"id": 1, "name": "Ada", "mood": Mood.HAPPY}
    assert row[User.__table__.c.name] == "Ada"


async def test_select_of_mapped_attributes_and_aliases(
    database: Database, outside: Outside
) -> None:
    outside.run(sa.insert(User), {"id": 1, "name": "Ada", "mood": None})
    other = aliased(User)

    row = await database.fetch_one(
        sa.select(User.name, other.id.label("other")).join(other, User.id == other.id)
    )

    assert row is not None
    assert dict(row) == {"name": "Ada", "other": 1}


async def test_write_through_a_mapped_class(database: Database, outside: Outside) -> None:
    await database.execute(sa.insert(User).values(name="Ada", mood=Mood.SAD))
    await database.execute(sa.update(User).where(User.name == "Ada").values(name="Lovelace"))

    assert outside.rows(sa.select(User.name, User.mood)) == [("Lovelace", Mood.SAD)]

    await database.execute(sa.delete(User).where(User.name == "Lovelace"))

    assert outside.rows(sa.select(User.name)) == []


@requires("sequences")
async def test_sequence_next_value(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TEMPORARY SEQUENCE numbers START 5")

        assert await connection.fetch_val(sa.select(sa.Sequence("numbers").next_value())) == 5
        assert await connection.fetch_val(sa.Sequence("numbers").next_value().select()) == 6


@requires("native_json")
async def test_functions_that_take_any_type_are_given_values(
    database: Database, outside: Outside
) -> None:
    """The server cannot tell the type of a parameter from such a function."""
    outside.insert(accounts, *TWO_ACCOUNTS)
    whole = sa.func.json_build_object("id", accounts.c.id, "rich", accounts.c.balance > 15)

    rows = await database.fetch_all(
        sa.select(
            whole.cast(sa.Text).label("whole"),
            sa.func.concat(accounts.c.id, "/", 5).label("text"),
            sa.func.jsonb_build_array("x", 1, accounts.c.id).cast(sa.Text).label("list"),
        ).order_by(accounts.c.id)
    )

    assert [tuple(row.values()) for row in rows] == [
        ('{"id" : 1, "rich" : false}', "1/5", '["x", 1, 1]'),
        ('{"id" : 2, "rich" : true}', "2/5", '["x", 1, 2]'),
    ]
