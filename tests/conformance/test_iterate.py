"""`iterate()`: what the loop body may do, and that nothing stays open however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts, codes, notes

QUERY = accounts.select().order_by(accounts.c.id)
RAW_QUERY = "SELECT id, balance FROM accounts ORDER BY id"
COUNT = 300
"""More rows than any batch holds that a test could mistake for streaming."""


@pytest_asyncio.fixture(autouse=True)
async def rows(outside: Outside) -> None:
    """Fill `accounts`."""
    outside.insert(accounts, *({"id": key, "balance": 0} for key in range(1, COUNT + 1)))


@pytest.mark.parametrize("query", [QUERY, RAW_QUERY], ids=["core", "raw"])
async def test_it_gives_every_row_in_order(database: Database, query: sa.Select[int] | str) -> None:
    found = [record["id"] async for record in database.iterate(query)]

    assert found == list(range(1, COUNT + 1))


async def test_it_gives_nothing_for_no_row(database: Database) -> None:
    query = QUERY.where(accounts.c.id < 0)

    assert [record async for record in database.iterate(query)] == []


async def test_it_gives_every_row_in_a_transaction(database: Database) -> None:
    async with database.transaction():
        found = [record["id"] async for record in database.iterate(QUERY)]

    assert found == list(range(1, COUNT + 1))


async def test_it_gives_every_row_of_a_connection(database: Database) -> None:
    async with database.connection() as connection:
        found = [record["id"] async for record in connection.iterate(QUERY)]
        again = [record["id"] async for record in connection.iterate(RAW_QUERY)]

    assert found == again == list(range(1, COUNT + 1))


@pytest.mark.parametrize("inside", [True, False], ids=["in_transaction", "outside"])
async def test_queries_of_the_task_work_in_the_loop(database: Database, inside: bool) -> None:
    async def double_check() -> list[int]:
        found = []
        async for record in database.iterate(QUERY):
            query = accounts.select().where(accounts.c.id == record["id"])
            again = await database.fetch_one(query)
            assert again == record
            found.append(await database.fetch_val("SELECT :n + 0", {"n": record["id"]}))
        return found

    if inside:
        async with database.transaction():
            found = await double_check()
    else:
        found = await double_check()

    assert found == list(range(1, COUNT + 1))


async def test_writes_of_the_body_are_committed_on_their_own(
    database: Database, outside: Outside
) -> None:
    async for record in database.iterate(QUERY):
        await database.execute(codes.insert().values(code=str(record["id"])))
        assert outside.count(codes) == record["id"]
        if record["id"] == 5:
            break

    assert outside.count(codes) == 5


async def test_writes_of_the_body_stay_when_it_raises(database: Database, outside: Outside) -> None:
    with pytest.raises(LookupError, match="body"):
        async for record in database.iterate(QUERY):
            await database.execute(codes.insert().values(code=str(record["id"])))
            raise LookupError("body")

    assert outside.count(codes) == 1


async def test_writes_of_the_body_are_part_of_the_transaction_around_it(
    database: Database, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        async for record in database.iterate(QUERY):
            await database.execute(codes.insert().values(code=str(record["id"])))
        assert await database.fetch_val(sa.select(sa.func.count()).select_from(codes)) == COUNT

    assert outside.count(codes) == 0


async def test_updates_of_the_rows_just_read(database: Database, outside: Outside) -> None:
    async with database.transaction():
        async for record in database.iterate(QUERY):
            query = accounts.update().where(accounts.c.id == record["id"])
            await database.execute(query, {"balance": record["id"] * 2})

    assert outside.value(sa.select(sa.func.sum(accounts.c.balance))) == COUNT * (COUNT + 1)


async def test_transactions_in_the_body(database: Database, outside: Outside) -> None:
    async for record in database.iterate(QUERY):
        async with database.transaction(force_rollback=bool(record["id"] % 2)):
            await database.execute(codes.insert().values(code=str(record["id"])))
        if record["id"] == 6:
            break

    assert outside.column(codes.c.code) == ["2", "4", "6"]


async def test_two_iterations_at_once_in_one_task(database: Database) -> None:
    pairs = []
    async for left in database.iterate(QUERY):
        async for right in database.iterate(QUERY):
            pairs.append((left["id"], right["id"]))
            if right["id"] == 2:
                break
        if left["id"] == 2:
            break

    assert pairs == [(1, 1), (1, 2), (2, 1), (2, 2)]


async def test_two_iterations_at_once_in_one_transaction(database: Database) -> None:
    async with database.transaction():
        left, right = database.iterate(QUERY), database.iterate(RAW_QUERY)
        pairs = [((await anext(left))["id"], (await anext(right))["id"]) for _ in range(COUNT)]

        with pytest.raises(StopAsyncIteration):
            await anext(left)
        with pytest.raises(StopAsyncIteration):
            await anext(right)

    assert pairs == [(key, key) for key in range(1, COUNT + 1)]


@pytest.mark.parametrize("inside", [True, False], ids=["in_transaction", "outside"])
async def test_a_break_gives_the_connection_back(make_database: MakeDatabase, inside: bool) -> None:
    async with make_database(max_size=1) as database:

        async def read_one() -> None:
            async for _ in database.iterate(QUERY):
                break
            if inside:
                assert await database.fetch_val("SELECT 1") == 1

        if inside:
            async with database.transaction():
                await read_one()
        else:
            await read_one()
        gc.collect()

        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_an_exception_gives_the_connection_back(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        with pytest.raises(LookupError, match="body"):
            async for _ in database.iterate(QUERY):
                raise LookupError("body")
        gc.collect()

        assert await within(database.fetch_val("SELECT 2")) == 2
    gc.collect()


async def test_a_closed_generator_gives_the_connection_back(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        generator = database.iterate(QUERY)
        await anext(generator)

        await generator.aclose()

        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_an_abandoned_generator_gives_the_connection_back(
    make_database: MakeDatabase,
) -> None:
    async with make_database(max_size=1) as database:
        generator = database.iterate(QUERY)
        await anext(generator)

        del generator
        gc.collect()

        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_a_generator_that_was_never_started_holds_nothing(database: Database) -> None:
    generator = database.iterate(QUERY)

    assert checked_out(database) == 0

    del generator


async def test_cancellation_gives_the_connection_back(make_database: MakeDatabase) -> None:
    async with make_database(max_size=1) as database:
        reading, never = asyncio.Event(), asyncio.Event()

        async def read() -> None:
            async for _ in database.iterate(QUERY):
                reading.set()
                await never.wait()

        task = asyncio.create_task(read())
        await within(reading.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gc.collect()

        assert await within(database.fetch_val("SELECT 2")) == 2


async def test_a_break_in_a_transaction_leaves_it_usable(
    database: Database, outside: Outside
) -> None:
    async with database.transaction():
        async for record in database.iterate(QUERY):
            if record["id"] == 2:
                break
        await database.execute(codes.insert().values(code="after"))
        async with database.transaction():
            await database.execute(codes.insert().values(code="nested"))

    assert outside.column(codes.c.code) == ["after", "nested"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_the_transaction_ends_while_a_stream_is_open(
    database: Database, outside: Outside, end: str
) -> None:
    transaction = await database.transaction()
    await database.execute(codes.insert().values(code="written"))
    records = database.iterate(QUERY)
    await anext(records)

    await within(transaction.commit() if end == "commit" else transaction.rollback())

    assert outside.column(codes.c.code) == (["written"] if end == "commit" else [])
    assert await within(database.fetch_val("SELECT 1")) == 1
    await records.aclose()
    assert await within(database.fetch_val("SELECT 2")) == 2


@requires("insert_returning")
@pytest.mark.parametrize("kind", ["expression", "string"])
async def test_rows_that_a_write_returns(database: Database, outside: Outside, kind: str) -> None:
    query: sa.ClauseElement | str = "INSERT INTO codes (code) VALUES ('a'), ('b') RETURNING code"
    if kind == "expression":
        query = codes.insert().values([{"code": "a"}, {"code": "b"}]).returning(codes.c.code)

    assert [record["code"] async for record in database.iterate(query)] == ["a", "b"]
    assert outside.column(codes.c.code) == ["a", "b"]


async def test_a_write_that_returns_nothing_gives_no_row(
    database: Database, outside: Outside
) -> None:
    query = "INSERT INTO codes (code) VALUES (:code)"

    assert [record async for record in database.iterate(query, {"code": "a"})] == []
    assert outside.column(codes.c.code) == ["a"]


async def test_an_error_of_the_server_comes_through(database: Database, driver: DriverCase) -> None:
    with pytest.raises(driver.error):
        [record async for record in database.iterate("SELECT nothing FROM nowhere")]

    assert await database.fetch_val("SELECT 1") == 1


async def test_iterations_of_many_tasks(database: Database) -> None:
    async def read() -> int:
        return sum([record["id"] async for record in database.iterate(QUERY)])

    totals = await within(asyncio.gather(*(read() for _ in range(20))))

    assert totals == [COUNT * (COUNT + 1) // 2] * 20


async def test_closing_in_another_task(database: Database) -> None:
    generator = database.iterate(QUERY)
    await anext(generator)

    await asyncio.create_task(generator.aclose())

    assert await database.fetch_val("SELECT 1") == 1


async def test_more_streams_than_connections_whose_bodies_query(
    make_database: MakeDatabase, outside: Outside
) -> None:
    """Each waits for a second connection: none may keep the others from theirs."""
    ids = outside.column(accounts.c.id)
    seen: list[int] = []

    async with make_database(max_size=3) as database:

        async def work() -> None:
            async for row in database.iterate("SELECT id FROM accounts ORDER BY id"):
                seen.append(await database.fetch_val("SELECT :n + 0", {"n": row["id"]}))
                await asyncio.sleep(0)

        await within(asyncio.gather(*(work() for _ in range(6))), 30)
        stats = database.pool_stats()

    assert len(ids) > 2
    assert sorted(seen) == sorted(ids * 6)
    assert stats.in_use == 0


@requires("dollar_quotes")
@pytest.mark.parametrize("inside", [False, True])
async def test_statements_that_no_cursor_can_be_declared_for(
    database: Database, outside: Outside, *, inside: bool
) -> None:
    queries = {
        "WITH x AS (INSERT INTO notes (text) VALUES ('x') RETURNING id) SELECT 1 AS v FROM x": [1],
        "SHOW server_encoding": ["UTF8"],
        "VALUES (1), (2)": [1, 2],
    }
    for query, values in queries.items():
        async with database.transaction() if inside else contextlib.nullcontext():
            assert [row[0] async for row in database.iterate(query)] == values

    assert outside.count(notes) == 1
