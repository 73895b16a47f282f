"""Transactions that the server ends with a statement: none is half committed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import TransactionStateError
from tests.conftest import MakeDatabase
from tests.faults.acts import works
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = [pytest.mark.law, requires("charsets")]

UPDATE = sa.update(notes).where(notes.c.id == 1)


@pytest.fixture
async def database(make_database: MakeDatabase, outside: Outside) -> Database:
    """Give a database whose server ends the transactions that meet a changed row."""
    if not outside.rows("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
        pytest.skip("the server has no innodb_snapshot_isolation")
    outside.insert(notes, {"id": 1, "text": "old"})
    database = make_database(init_command="SET innodb_snapshot_isolation=ON", max_size=1)
    await database.connect()
    return database


async def begin_and_meet(database: Database, outside: Outside) -> None:
    """Do something, and read what another session changes afterwards."""
    await database.execute(notes.insert().values(id=10))
    await database.fetch_all(notes.select())
    outside.run(UPDATE.values(text="theirs"))


async def test_what_follows_in_the_transaction_is_refused(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    with pytest.raises(TransactionStateError, match="cannot commit: the transaction is lost"):
        async with database.transaction():
            await begin_and_meet(database, outside)
            with pytest.raises(driver.error):
                await database.execute(UPDATE.values(text="mine"))
            with pytest.raises(TransactionStateError, match="the transaction is lost"):
                await database.execute(notes.insert().values(id=11))

    assert outside.column(notes.c.id) == [1]
    await works(database, outside)


async def test_a_commit_right_after_it_is_refused(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    with pytest.raises(TransactionStateError, match="the transaction is lost"):
        async with database.transaction():
            await begin_and_meet(database, outside)
            with pytest.raises(driver.error):
                await database.execute(UPDATE.values(text="mine"))

    assert outside.column(notes.c.id) == [1]
    await works(database, outside)


async def test_a_savepoint_does_not_save_it(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    with pytest.raises(TransactionStateError, match="the transaction is lost"):
        async with database.transaction():
            await begin_and_meet(database, outside)
            with pytest.raises(driver.error):
                async with database.transaction():
                    await database.execute(UPDATE.values(text="mine"))
            await database.execute(notes.insert().values(id=11))

    assert outside.column(notes.c.id) == [1]
    await works(database, outside)


async def test_its_own_error_leaves_the_block(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    with pytest.raises(driver.error):
        async with database.transaction():
            await begin_and_meet(database, outside)
            await database.execute(UPDATE.values(text="mine"))

    assert outside.column(notes.c.id) == [1]
    await works(database, outside)


@pytest.mark.parametrize(
    "statement",
    ["SIGNAL SQLSTATE '45000'", "INSERT INTO notes (id) VALUES (1)", "SELECT nothing FROM notes"],
)
async def test_other_errors_leave_the_transaction_as_it_is(
    database: Database, outside: Outside, driver: DriverCase, statement: str
) -> None:
    async with database.transaction():
        await database.execute(notes.insert().values(id=10))
        raw = database.connection().raw_connection
        with pytest.raises(driver.error):
            await database.execute(statement)
        await database.execute(notes.insert().values(id=11))
        assert database.connection().raw_connection is raw

    assert sorted(outside.column(notes.c.id)) == [1, 10, 11]


async def test_ddl_commits_and_errors_after_it_change_nothing(
    database: Database, outside: Outside, driver: DriverCase
) -> None:
    """MySQL commits by itself before DDL; programs create tables in transactions."""
    async with database.transaction():
        await database.execute(notes.insert().values(id=10))
        with pytest.raises(driver.error):
            await database.execute("CREATE TABLE notes (id INTEGER)")
        await database.execute("CREATE TABLE made (id INTEGER)")
        try:
            with pytest.raises(driver.error):
                await database.execute("SIGNAL SQLSTATE '45000'")
            await database.execute(notes.insert().values(id=11))
        finally:
            await database.execute("DROP TABLE made")

    assert sorted(outside.column(notes.c.id)) == [1, 10, 11]
