"""What `execute()` returns, by kind of statement."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from databases import Database
from tests.support.drivers import DriverCase, lacks, requires
from tests.support.outside import Outside
from tests.support.tables import Mood, accounts, codes, notes, pairs, things, typed, words

TWO_ACCOUNTS = ({"id": 1, "balance": 10}, {"id": 2, "balance": 20})


@requires("insert_returns_key")
async def test_core_insert_gives_the_new_primary_key(database: Database, outside: Outside) -> None:
    first = await database.execute(notes.insert().values(text="first"))
    second = await database.execute(notes.insert(), {"text": "second"})

    assert outside.rows(sa.select(notes.c.id, notes.c.text).order_by(notes.c.id)) == [
        (first, "first"),
        (second, "second"),
    ]


@requires("insert_returns_key")
async def test_core_insert_gives_a_primary_key_that_was_given(database: Database) -> None:
    assert await database.execute(notes.insert().values(id=77, text="x")) == 77
    assert await database.execute(notes.insert(), {"id": 78, "text": "x"}) == 78


@requires("insert_returns_key")
async def test_core_insert_gives_a_text_key(database: Database) -> None:
    query = words.insert().values(word="key", meaning="opens doors")

    assert await database.execute(query) == "key"


@requires("insert_returns_key")
async def test_core_insert_gives_a_uuid_key_made_by_its_default(
    database: Database, outside: Outside
) -> None:
    key = await database.execute(things.insert().values(name="x"))

    assert isinstance(key, uuid.UUID)
    assert outside.rows(sa.select(things.c.id)) == [(key,)]


@requires("insert_returns_key")
async def test_core_insert_gives_a_uuid_key_that_was_given(database: Database) -> None:
    key = uuid.uuid4()

    assert await database.execute(things.insert().values(id=key, name="x")) == key


@requires("insert_returns_key")
async def test_core_insert_gives_the_first_column_of_a_composite_key(database: Database) -> None:
    assert await database.execute(pairs.insert().values(left=5, right=6)) == 5


@lacks("insert_returns_key")
async def test_core_insert_gives_zero_where_the_driver_never_gave_a_key(
    database: Database,
) -> None:
    assert await database.execute(notes.insert().values(text="first")) == 0
    assert await database.execute(words.insert().values(word="key")) == 0
    assert await database.execute(things.insert().values(name="x")) == 0


@requires("sequences")
async def test_a_core_insert_that_is_fetched_gives_the_new_key(
    database: Database, outside: Outside
) -> None:
    """It has a RETURNING, which SQLAlchemy adds for PostgreSQL."""
    query = notes.insert().values(text="x")

    value = await database.fetch_val(query)
    one = await database.fetch_one(notes.insert(), {"text": "x"})
    every = await database.fetch_all(query)
    each = [row async for row in database.iterate(query)]
    async with database.connection() as connection:
        again = await connection.fetch_val(query)

    assert one is not None
    assert outside.column(notes.c.id) == [value, one["id"], every[0]["id"], each[0]["id"], again]
    assert [dict(row) for row in every] == [{"id": every[0].id}]


@requires("raw_insert_returns_key")
async def test_raw_insert_gives_the_last_row_id(database: Database, outside: Outside) -> None:
    key = await database.execute("INSERT INTO notes (text) VALUES (:text)", {"text": "x"})

    assert outside.rows(sa.select(notes.c.id)) == [(key,)]


@lacks("raw_insert_returns_key")
async def test_raw_insert_without_returning_gives_none(database: Database) -> None:
    query = "INSERT INTO notes (text) VALUES (:text)"

    assert await database.execute(query, {"text": "x"}) is None


@requires("insert_returning")
async def test_raw_insert_with_returning_gives_its_first_column(database: Database) -> None:
    query = "INSERT INTO notes (text) VALUES (:text) RETURNING text, id"

    assert await database.execute(query, {"text": "returned"}) == "returned"


@requires("insert_returning")
async def test_core_insert_with_returning_gives_its_first_column(database: Database) -> None:
    query = notes.insert().values(text="returned").returning(notes.c.text, notes.c.id)

    assert await database.execute(query) == "returned"


@requires("insert_returning")
async def test_returning_is_converted_by_its_type(database: Database) -> None:
    query = typed.insert().values(mood=Mood.SAD, flag=True, shouted="Loud")

    assert await database.execute(query.returning(typed.c.mood)) is Mood.SAD
    assert await database.execute(query.returning(typed.c.flag)) is True
    assert await database.execute(query.returning(typed.c.shouted)) == "LOUD"


@requires("insert_returning")
async def test_insert_with_returning_can_be_fetched(database: Database, outside: Outside) -> None:
    query = codes.insert().returning(codes.c.id, codes.c.code)

    one = await database.fetch_one(query.values(code="a"))
    many = await database.fetch_all(query.values([{"code": "b"}, {"code": "c"}]))
    value = await database.fetch_val(query.values(code="d"), column="code")

    assert one is not None
    assert one["code"] == "a"
    assert [row["code"] for row in many] == ["b", "c"]
    assert value == "d"
    assert outside.column(codes.c.code) == ["a", "b", "c", "d"]


@requires("update_returning")
async def test_update_with_returning_gives_its_first_column(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    query = accounts.update().where(accounts.c.id == 2).values(balance=21)

    assert await database.execute(query.returning(accounts.c.balance, accounts.c.id)) == 21


@requires("update_returning")
async def test_update_with_returning_of_no_row_gives_none(database: Database) -> None:
    query = accounts.update().values(balance=21).returning(accounts.c.balance)

    assert await database.execute(query) is None


@requires("insert_returning")
async def test_delete_with_returning_gives_its_first_column(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    query = accounts.delete().where(accounts.c.id == 2).returning(accounts.c.balance)

    assert await database.execute(query) == 20
    assert outside.column(accounts.c.id) == [1]


async def test_update_gives_the_number_of_rows(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    assert await database.execute(accounts.update().values(balance=5)) == 2
    assert await database.execute(accounts.update(), {"balance": 6}) == 2
    assert await database.execute("UPDATE accounts SET balance = 7 WHERE id = 1") == 1
    assert await database.execute("UPDATE accounts SET balance = :b", {"b": 8}) == 2
    assert await database.execute(sa.text("UPDATE accounts SET balance = 9")) == 2


async def test_update_of_no_row_gives_zero(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)

    assert (
        await database.execute(accounts.update().where(accounts.c.id == 9).values(balance=0)) == 0
    )
    assert await database.execute("UPDATE accounts SET balance = 0 WHERE id = 9") == 0


async def test_delete_gives_the_number_of_rows(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS, {"id": 3, "balance": 30})

    assert await database.execute(accounts.delete().where(accounts.c.id == 1)) == 1
    assert await database.execute("DELETE FROM accounts") == 2
    assert await database.execute("DELETE FROM accounts") == 0


async def test_update_after_an_insert_on_the_same_connection_counts_its_own_rows(
    database: Database,
) -> None:
    """Some drivers keep the last row id: it must not be taken for a count."""
    async with database.connection() as connection:
        for text in "abc":
            await connection.execute(notes.insert().values(text=text))

        assert await connection.execute(notes.update().values(completed=True)) == 3
        assert await connection.execute("DELETE FROM notes WHERE text = 'nobody'") == 0


@requires("select_returns_value")
async def test_select_gives_its_first_value(database: Database, outside: Outside) -> None:
    outside.insert(typed, {"mood": Mood.HAPPY})

    assert await database.execute(sa.select(typed.c.mood)) is Mood.HAPPY
    assert await database.execute("SELECT 5") == 5
    assert await database.execute("SELECT 5 WHERE 1 = 0") is None


@lacks("select_returns_value")
async def test_select_gives_the_drivers_row_count(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    outside.insert(accounts, *TWO_ACCOUNTS)
    count = 2 if driver.can("server") else -1

    assert await database.execute(accounts.select()) == count
    assert await database.execute("SELECT id FROM accounts") == count


async def test_ddl_gives_what_it_always_gave(database: Database, driver: DriverCase) -> None:
    """PostgreSQL: nothing, or 0 without keys; MySQL: 0 rows; SQLite: no count."""
    nothing = None if driver.can("select_returns_value") else 0 if driver.can("server") else -1

    created = await database.execute("CREATE TABLE scratch (id INTEGER)")
    dropped = await database.execute("DROP TABLE scratch")

    assert (created, dropped) == (nothing, nothing)


async def test_execute_many_gives_none(database: Database) -> None:
    assert await database.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}]) is None  # type: ignore[func-returns-value]  # the claim
    assert await database.execute_many("DELETE FROM notes WHERE id = :id", [{"id": 1}]) is None  # type: ignore[func-returns-value]  # the claim
