"""create_all, drop_all and run_sync: SQLAlchemy's synchronous side over the driver."""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import TransactionStateError
from databases.events import Event, QueryEvent
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase, lacks, requires
from tests.support.outside import Outside
from tests.support.tables import codes, typed


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


shop = sa.MetaData()
makers = sa.Table(
    "shop_makers",
    shop,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
)
items = sa.Table(
    "shop_items",
    shop,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("maker", sa.ForeignKey(makers.c.id), index=True),
    sa.Column("price", sa.Numeric(10, 2), server_default="1.50"),
    sa.Column("size", sa.Enum(Size, name="shop_size")),
)


def table_names(connection: sa.Connection) -> set[str]:
    return {name for name in sa.inspect(connection).get_table_names() if "shop_" in name}


@pytest.fixture
def tables(outside: Outside) -> Any:
    """Drop afterwards what a failed test has left, types included."""
    yield
    shop.drop_all(outside.connection)


pytestmark = pytest.mark.usefixtures("tables")


async def test_tables_are_created_and_dropped(database: Database, outside: Outside) -> None:
    await database.create_all(shop)
    assert table_names(outside.connection) == {"shop_makers", "shop_items"}
    await database.execute(makers.insert().values(id=1, name="ada"))
    await database.execute(items.insert().values(id=1, maker=1, size=Size.LARGE))
    assert (await database.fetch_one(sa.select(items.c.size))).size is Size.LARGE  # type: ignore[union-attr]  # there

    await database.drop_all(shop)
    assert table_names(outside.connection) == set()
    assert checked_out(database) == 0


async def test_what_is_there_is_left_alone(database: Database, outside: Outside) -> None:
    await database.create_all(shop, tables=[makers])
    outside.insert(makers, {"id": 1, "name": "ada"})

    await database.create_all(shop)

    assert outside.count(makers) == 1
    assert outside.count(items) == 0


async def test_only_the_tables_that_are_named(database: Database, outside: Outside) -> None:
    await database.create_all(shop)

    await database.drop_all(shop, tables=[items])

    assert table_names(outside.connection) == {"shop_makers"}


async def test_without_a_look_first_the_driver_complains(
    database: Database, driver: DriverCase
) -> None:
    await database.create_all(shop)

    with pytest.raises(driver.error):
        await database.create_all(shop, checkfirst=False)


@requires("transactional_ddl")
async def test_inside_a_transaction_it_is_rolled_back_too(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        await database.create_all(shop)
        await database.execute(makers.insert().values(name="ada"))
        assert await database.run_sync(table_names) == {"shop_makers", "shop_items"}

    assert table_names(outside.connection) == set()


@requires("transactional_ddl")
async def test_force_rollback(make_database: MakeDatabase, outside: Outside) -> None:
    async with make_database(force_rollback=True) as database:
        await database.create_all(shop)
        await asyncio.create_task(database.execute(makers.insert().values(name="ada")))
        assert await database.fetch_val(sa.select(makers.c.name)) == "ada"

    assert table_names(outside.connection) == set()


@lacks("transactional_ddl")
async def test_where_ddl_commits_it_is_refused_in_a_transaction(
    database: Database, outside: Outside
) -> None:
    with pytest.raises(TransactionStateError, match="outside of a transaction"):
        async with database.transaction():
            await database.create_all(shop)

    assert table_names(outside.connection) == set()


@lacks("transactional_ddl")
async def test_ddl_that_commits_in_a_transaction_is_told(database: Database) -> None:
    def create(connection: sa.Connection) -> None:
        makers.create(connection)
        connection.execute(sa.select(makers))

    with pytest.raises(TransactionStateError, match="committed by CREATE"):
        async with database.transaction():
            await database.run_sync(create)

    assert await database.fetch_val("SELECT 1") == 1


async def test_sqlite_in_memory() -> None:
    async with Database("sqlite://") as database:
        await database.create_all(shop)
        await database.execute(makers.insert().values(name="ada"))
        assert await database.fetch_val(sa.select(makers.c.name)) == "ada"
        assert await database.run_sync(table_names) == {"shop_makers", "shop_items"}


async def test_inspection_sees_what_is_there(database: Database) -> None:
    await database.create_all(shop)

    def look(connection: sa.Connection) -> Any:
        inspector = sa.inspect(connection)
        return (
            [column["name"] for column in inspector.get_columns("shop_items")],
            inspector.get_pk_constraint("shop_items")["constrained_columns"],
            [key["referred_table"] for key in inspector.get_foreign_keys("shop_items")],
            [index["column_names"] for index in inspector.get_indexes("shop_items")],
            inspector.has_table("shop_makers"),
            inspector.has_table("shop_nothing"),
        )

    assert await database.run_sync(look) == (
        ["id", "maker", "price", "size"],
        ["id"],
        ["shop_makers"],
        [["maker"]],
        True,
        False,
    )


async def test_reflection_reads_every_table(database: Database) -> None:
    def reflect(connection: sa.Connection) -> sa.MetaData:
        found = sa.MetaData()
        found.reflect(connection)
        return found

    found = await database.run_sync(reflect)

    assert set(found.tables) >= {"codes", "typed", "users"}
    assert found.tables["typed"].columns.keys() == typed.columns.keys()
    row = await database.fetch_all(found.tables["codes"].select())
    assert row == []


async def test_arguments_reach_the_function(database: Database) -> None:
    def both(connection: sa.Connection, one: int, *, two: int) -> tuple[int, int, int]:
        return one, two, connection.execute(sa.text("SELECT 3")).scalar_one()

    assert await database.run_sync(both, 1, two=2) == (1, 2, 3)
    async with database.connection() as connection:
        assert await connection.run_sync(both, 1, two=2) == (1, 2, 3)


async def test_statements_work_as_in_sqlalchemy(database: Database, outside: Outside) -> None:
    def work(connection: sa.Connection) -> Any:
        key = connection.execute(codes.insert().values(code="a")).inserted_primary_key
        changed = connection.execute(codes.update().values(code="b")).rowcount
        connection.execute(codes.insert(), [{"code": "c"}, {"code": "100%"}])
        nothing = connection.execute(codes.select().where(codes.c.code == "zzz")).all()
        text = connection.exec_driver_sql("SELECT '50%'").scalar()
        return bool(key and key[0]), changed, nothing, text

    assert await database.run_sync(work) == (True, 1, [], "50%")
    assert outside.column(codes.c.code) == ["100%", "b", "c"]


async def test_what_is_left_is_committed_at_the_end(database: Database, outside: Outside) -> None:
    def work(connection: sa.Connection) -> None:
        with connection.begin_nested() as inner:
            connection.execute(codes.insert().values(code="undone"))
            inner.rollback()
        connection.execute(codes.insert().values(code="kept"))
        connection.commit()
        connection.execute(codes.insert().values(code="rolled back"))
        connection.rollback()
        connection.execute(codes.insert().values(code="last"))

    await database.run_sync(work)

    assert outside.column(codes.c.code) == ["kept", "last"]


async def test_an_error_rolls_back_and_passes_through(database: Database, outside: Outside) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(codes.insert().values(code="a"))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.run_sync(work)

    assert outside.count(codes) == 0
    assert checked_out(database) == 0


async def test_an_error_of_the_driver_is_sqlalchemys(
    database: Database, driver: DriverCase
) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(codes.insert().values(code="a"))
        connection.execute(codes.insert().values(code="a"))

    with pytest.raises(sa.exc.DBAPIError) as caught:
        await database.run_sync(work)

    assert isinstance(caught.value.orig, driver.integrity_error)
    assert await database.fetch_val("SELECT 1") == 1


async def test_an_error_of_many_rows_leaves_none_of_them(
    database: Database, driver: DriverCase, outside: Outside
) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(codes.insert(), [{"code": "a"}, {"code": "b"}, {"code": "a"}])

    with pytest.raises(sa.exc.DBAPIError) as caught:
        await database.run_sync(work)

    assert isinstance(caught.value.orig, driver.integrity_error)
    assert outside.count(codes) == 0
    assert await database.fetch_val("SELECT 1") == 1


async def test_inside_a_transaction_it_is_a_savepoint(database: Database, outside: Outside) -> None:
    def insert(connection: sa.Connection, code: str) -> None:
        connection.execute(codes.insert().values(code=code))
        if code == "bad":
            raise LookupError

    async with database.transaction():
        await database.run_sync(insert, "good")
        with pytest.raises(LookupError):
            await database.run_sync(insert, "bad")
        await database.execute(codes.insert().values(code="own"))

    assert outside.column(codes.c.code) == ["good", "own"]


async def test_autocommit(database: Database, outside: Outside) -> None:
    def work(connection: sa.Connection) -> None:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(codes.insert().values(code="a"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.run_sync(work)

    assert outside.column(codes.c.code) == ["a"]
    await database.run_sync(lambda connection: connection.execute(codes.delete()))
    assert outside.count(codes) == 0


@requires("isolation_levels")
async def test_an_isolation_level(database: Database, driver: DriverCase) -> None:
    asked = driver.text(postgresql="SHOW transaction_isolation", mysql="SELECT 'SERIALIZABLE'")

    def work(connection: sa.Connection) -> str:
        connection = connection.execution_options(isolation_level="SERIALIZABLE")
        connection.execute(codes.select())
        return str(connection.exec_driver_sql(asked).scalar()).upper()

    assert await database.run_sync(work) == "SERIALIZABLE"


async def test_the_loop_goes_on_while_the_function_works(database: Database) -> None:
    threads = threading.active_count()
    done = asyncio.Event()

    def work(connection: sa.Connection) -> int:
        deadline = time.monotonic() + 10
        while not done.is_set() and time.monotonic() < deadline:
            time.sleep(0.001)
        return int(connection.execute(sa.text("SELECT 1")).scalar_one())

    task = asyncio.create_task(database.run_sync(work))
    await asyncio.sleep(0.01)
    done.set()

    assert await within(task) == 1
    assert threading.active_count() <= threads + 1  # SQLite's own


async def test_listeners_are_told_of_its_statements(database: Database) -> None:
    events: list[Event] = []
    stop = database.listen(events.append)

    await database.run_sync(lambda connection: connection.execute(codes.select()))

    stop()
    queries = [event for event in events if isinstance(event, QueryEvent)]
    assert {event.verb for event in queries} == {"run_sync"}
    assert [event.error for event in queries if "FROM codes" in event.sql] == [None]


async def test_values_stay_hidden(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def work(connection: sa.Connection) -> None:
        for _ in range(2):
            connection.execute(codes.insert().values(id=7, code="secret"))

    caplog.set_level("DEBUG", "databases")
    async with make_database(log_values=False) as database:
        with pytest.raises(sa.exc.DBAPIError) as caught:
            await database.run_sync(work)

    assert "INSERT INTO codes" in caplog.text
    assert "secret" not in caplog.text + str(caught.value).partition("[SQL:")[2]


async def test_its_errors_are_of_sqlalchemys_classes(database: Database) -> None:
    def insert_twice(connection: sa.Connection) -> None:
        for _ in range(2):
            connection.execute(codes.insert().values(code="same"))

    def misspell(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELEC 1")

    with pytest.raises(sa.exc.IntegrityError):
        await database.run_sync(insert_twice)
    with pytest.raises((sa.exc.ProgrammingError, sa.exc.OperationalError)):
        await database.run_sync(misspell)


async def test_two_at_once(database: Database) -> None:
    def work(connection: sa.Connection) -> int:
        return int(connection.execute(sa.text("SELECT 7")).scalar_one())

    assert await within(asyncio.gather(*(database.run_sync(work) for _ in range(5)))) == [7] * 5


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_cancelling_anywhere_leaves_nothing_behind(
    make_database: MakeDatabase, outside: Outside, steps: int
) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(codes.insert().values(code="a"))
        connection.execute(codes.insert().values(code="b"))

    async with make_database(max_size=1) as database:
        task = asyncio.create_task(database.run_sync(work))
        for _ in range(steps):
            await asyncio.sleep(0)
            time.sleep(0.0003)  # noqa: ASYNC251  # lets the other thread go on
        task.cancel()
        await asyncio.wait({task}, timeout=10)

        assert task.cancelled() or task.result() is None
        found = await within(database.fetch_val(sa.select(sa.func.count(codes.c.id))))
        assert found in ((0, 2) if task.cancelled() else (2,))


async def test_a_cancelled_function_can_do_no_more(database: Database) -> None:
    errors: list[BaseException] = []
    gate, ended = threading.Event(), threading.Event()

    def work(connection: sa.Connection) -> None:
        connection.execute(codes.insert().values(code="a"))
        started.set()
        gate.wait(10)
        try:
            connection.execute(codes.insert().values(code="b"))
        except BaseException as error:
            errors.append(error)
        ended.set()

    started = threading.Event()
    task = asyncio.create_task(database.run_sync(work))
    assert await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    gate.set()
    assert await asyncio.to_thread(ended.wait, 10)

    assert "was cancelled" in str(errors[0])
    assert await database.fetch_val(sa.select(sa.func.count(codes.c.id))) == 0
