"""The five query verbs with SQL strings."""

from __future__ import annotations

import pytest

from databases import Database
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts, notes


async def test_execute_with_values(database: Database, outside: Outside) -> None:
    query = "INSERT INTO notes (text, completed) VALUES (:text, :completed)"

    await database.execute(query, {"text": "example1", "completed": True})

    assert outside.column(notes.c.text) == ["example1"]


async def test_execute_without_values(database: Database, outside: Outside) -> None:
    await database.execute("INSERT INTO accounts (id, balance) VALUES (1, 2)")

    assert outside.rows(accounts.select()) == [(1, 2)]


async def test_execute_many_with_values(database: Database, outside: Outside) -> None:
    query = "INSERT INTO accounts (id, balance) VALUES (:id, :balance)"

    await database.execute_many(query, [{"id": 1, "balance": 10}, {"id": 2, "balance": 20}])

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 10), (2, 20)]


async def test_fetch_all_with_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10}, {"id": 2, "balance": 20})

    rows = await database.fetch_all("SELECT id FROM accounts WHERE balance > :low", {"low": 15})

    assert [row["id"] for row in rows] == [2]


async def test_fetch_one_with_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = "SELECT id, balance FROM accounts WHERE id = :id"

    found = await database.fetch_one(query, {"id": 1})
    missing = await database.fetch_one(query, {"id": 2})

    assert found is not None
    assert (found["id"], found["balance"]) == (1, 10)
    assert missing is None


async def test_fetch_val_takes_an_index_or_a_name(database: Database, outside: Outside) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})
    query = "SELECT id, balance FROM accounts"

    assert await database.fetch_val(query) == 1
    assert await database.fetch_val(query, column=1) == 10
    assert await database.fetch_val(query, column="balance") == 10


async def test_fetch_val_of_an_unknown_name_raises_key_error(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    with pytest.raises(KeyError):
        await database.fetch_val("SELECT id FROM accounts", column="nope")


async def test_iterate_with_values(database: Database, outside: Outside) -> None:
    outside.insert(accounts, *({"id": key, "balance": 0} for key in range(1, 6)))
    query = "SELECT id FROM accounts WHERE id > :low ORDER BY id"

    found = [record["id"] async for record in database.iterate(query, {"low": 3})]

    assert found == [4, 5]


async def test_values_may_be_given_by_keyword(database: Database, outside: Outside) -> None:
    await database.execute(
        query="INSERT INTO accounts (id, balance) VALUES (:id, :balance)",
        values={"id": 1, "balance": 10},
    )
    await database.execute_many(
        query="INSERT INTO accounts (id, balance) VALUES (:id, :balance)",
        values=[{"id": 2, "balance": 20}],
    )

    rows = await database.fetch_all(query="SELECT id FROM accounts ORDER BY id", values={})

    assert [row["id"] for row in rows] == [1, 2]


async def test_one_parameter_may_stand_in_several_places(
    database: Database, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 2}, {"id": 2, "balance": 1})

    rows = await database.fetch_all(
        "SELECT id FROM accounts WHERE id = :key OR balance = :key ORDER BY id", {"key": 2}
    )

    assert [row["id"] for row in rows] == [1, 2]


async def test_parameters_are_matched_by_name_not_by_order(
    database: Database, outside: Outside
) -> None:
    await database.execute(
        "INSERT INTO accounts (id, balance) VALUES (:id, :balance)", {"balance": 10, "id": 1}
    )

    assert outside.rows(accounts.select()) == [(1, 10)]


async def test_null_as_a_value(database: Database, outside: Outside) -> None:
    await database.execute("INSERT INTO notes (text) VALUES (:text)", {"text": None})

    assert outside.rows("SELECT text FROM notes") == [(None,)]


async def test_ddl_as_strings(database: Database, outside: Outside) -> None:
    await database.execute("CREATE TABLE scratch (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    await database.execute("INSERT INTO scratch (id, name) VALUES (:id, 'x')", {"id": 1})

    assert outside.rows("SELECT id, name FROM scratch") == [(1, "x")]

    await database.execute("DROP TABLE scratch")


async def test_the_drivers_own_error_comes_through(
    database: Database, driver: DriverCase, outside: Outside
) -> None:
    outside.insert(accounts, {"id": 1, "balance": 10})

    with pytest.raises(driver.integrity_error):
        await database.execute("INSERT INTO accounts (id, balance) VALUES (1, 2)")
    with pytest.raises(driver.error):
        await database.fetch_all("SELECT nothing FROM nowhere")

    assert await database.fetch_val("SELECT balance FROM accounts") == 10


@requires("scripts")
async def test_a_script_runs_in_execute(database: Database, outside: Outside) -> None:
    await database.execute(
        "INSERT INTO accounts (id, balance) VALUES (1, 10);"
        "INSERT INTO accounts (id, balance) VALUES (2, 20);"
        "UPDATE accounts SET balance = 11 WHERE id = 1"
    )

    assert outside.rows(accounts.select().order_by(accounts.c.id)) == [(1, 11), (2, 20)]


@requires("scripts")
async def test_the_connection_is_in_step_after_a_script(
    database: Database, outside: Outside
) -> None:
    """Each statement of a script has its own answer: none may be left for the next query."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO accounts (id, balance) VALUES (1, 10); SELECT 4; SELECT 5"
        )

        assert await connection.fetch_val("SELECT balance FROM accounts") == 10


@requires("scripts")
async def test_a_failing_statement_in_a_script_is_an_error(
    database: Database, driver: DriverCase
) -> None:
    with pytest.raises(driver.error):
        await database.execute("SELECT 1; SELECT nothing FROM nowhere")

    assert await database.fetch_val("SELECT 3") == 3


@requires("empty_rows")
async def test_a_row_without_columns_is_a_row(database: Database) -> None:
    rows = await database.fetch_all("SELECT")

    assert [dict(row) for row in rows] == [{}]
    one = await database.fetch_one("SELECT")
    assert one is not None
    assert len(one) == 0
    assert [len(row) async for row in database.iterate("SELECT")] == [0]
    assert not await database.fetch_all("SELECT WHERE false")
