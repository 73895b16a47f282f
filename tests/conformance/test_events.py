"""Events: what a listener is told of queries, and of where it was told."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database, DatabaseURL
from databases.errors import ParameterError
from databases.events import (
    QueryEvent,
)
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query
from tests.support.drivers import DriverCase, requires
from tests.support.heard import Heard
from tests.support.tables import notes, pairs

RAW_INSERT = "INSERT INTO notes (text) VALUES (:text)"


@pytest.mark.parametrize(
    ("verb", "row_count"), [("fetch_all", 2), ("fetch_one", 1), ("fetch_val", None), ("run", 2)]
)
@pytest.mark.parametrize("where", ["database", "connection"])
async def test_a_query_is_an_event(
    database: Database, heard: Heard, verb: str, row_count: int | None, where: str
) -> None:
    await database.execute_many(RAW_INSERT, [{"text": "a"}, {"text": "b"}])
    heard.clear()

    if where == "database":
        await getattr(database, verb)(notes.select().where(notes.c.id > 0))
    else:
        async with database.connection() as connection:
            await getattr(connection, verb)(notes.select().where(notes.c.id > 0))

    event = heard.query
    assert (event.verb, event.row_count, event.batch_size) == (verb, row_count, None)
    assert (event.operation, event.collection) == ("SELECT", "notes")
    assert "FROM notes" in event.sql
    assert event.is_parameterized
    assert event.error is None
    assert 0 < event.duration < 10


async def test_a_string_says_its_text_and_no_more(database: Database, heard: Heard) -> None:
    await database.fetch_all("SELECT text FROM notes")

    assert heard.query.sql == "SELECT text FROM notes"
    assert not heard.query.is_parameterized
    assert (heard.query.operation, heard.query.collection) == (None, None)
    assert heard.query.row_count == 0


async def test_values_are_in_no_event(database: Database, heard: Heard) -> None:
    await database.fetch_one("SELECT text FROM notes WHERE text = :text", {"text": "needle"})
    await database.fetch_one(notes.select().where(notes.c.text == "needle"))
    await database.execute_many(notes.insert(), [{"text": "needle"}])

    assert len(heard.of(QueryEvent)) == 3
    assert "needle" not in repr(heard)


@pytest.mark.parametrize(
    ("query", "operation", "collection"),
    [
        (notes.insert().values(text="a"), "INSERT", "notes"),
        (notes.update().values(text="a"), "UPDATE", "notes"),
        (notes.delete(), "DELETE", "notes"),
        (sa.select(notes.alias().c.id), "SELECT", "notes"),
        (sa.select(notes.c.id).join(pairs, pairs.c.left == notes.c.id), "SELECT", None),
        (sa.union(sa.select(notes.c.id), sa.select(pairs.c.left)), "SELECT", None),
        (sa.select(sa.select(notes.c.id).subquery().c.id), "SELECT", None),
        (sa.text("SELECT id FROM notes"), None, None),
        (sa.text("SELECT id FROM notes").columns(notes.c.id), None, None),
    ],
    ids=str,
)
async def test_an_expression_says_what_it_does(
    database: Database, heard: Heard, query: Any, operation: str | None, collection: str | None
) -> None:
    for _ in range(2):  # compiled, and found compiled
        await database.execute(query)

    for event in heard.of(QueryEvent):
        assert (event.operation, event.collection) == (operation, collection)


@pytest.mark.parametrize(
    "query", ["DELETE FROM notes", notes.delete(), notes.update().values(text="x")], ids=str
)
async def test_a_change_counts_its_rows(database: Database, heard: Heard, query: Any) -> None:
    await database.execute_many(RAW_INSERT, [{"text": "a"}, {"text": "b"}, {"text": "c"}])
    heard.clear()

    await database.execute(query)

    assert heard.query.row_count == 3


@pytest.mark.parametrize("query", [RAW_INSERT, notes.insert()], ids=str)
async def test_execute_many_says_how_many(database: Database, heard: Heard, query: Any) -> None:
    await database.execute_many(query, [{"text": str(n)} for n in range(2500)])

    assert heard.query.verb == "execute_many"
    assert heard.query.batch_size == 2500
    assert "INSERT INTO notes" in heard.query.sql
    assert heard.query.is_parameterized


async def test_rows_of_a_generator_are_counted(database: Database, heard: Heard) -> None:
    await database.execute_many(notes.insert(), ({"text": str(n)} for n in range(1500)))
    await database.execute_many(notes.insert(), ({"text": str(n)} for n in range(0)))

    assert heard.query.batch_size == 1500


async def test_asynchronous_rows_are_an_event_for_each_chunk(
    database: Database, heard: Heard
) -> None:
    async def rows() -> AsyncIterator[dict[str, str]]:
        for number in range(1500):
            yield {"text": str(number)}

    await database.execute_many(notes.insert(), rows())

    assert [event.batch_size for event in heard.of(QueryEvent)] == [1000, 500]
    assert heard.transactions == [("begin", 1), ("commit", 1)]


async def test_typed_rows_are_told_too(database: Database, heard: Heard) -> None:
    await database.fetch_all(notes.select(), into=dict)
    await database.fetch_column(sa.select(notes.c.text))

    assert [event.verb for event in heard.of(QueryEvent)] == ["fetch_all", "fetch_all"]


async def test_synchronous_work_is_told_too(database: Database, heard: Heard) -> None:
    def work(connection: sa.Connection) -> None:
        connection.execute(sa.insert(notes), [{"text": "a"}, {"text": "b"}])
        assert connection.execute(sa.select(notes.c.text)).scalars().all() == ["a", "b"]

    await database.run_sync(work)

    insert, select = heard.of(QueryEvent)[-2:]
    assert (insert.verb, select.verb) == ("run_sync", "run_sync")
    assert "INSERT INTO notes" in insert.sql
    assert "SELECT notes.text" in select.sql
    assert heard.transactions[-1] == ("commit", 1)


async def test_a_result_counts_its_rows(database: Database, heard: Heard) -> None:
    await database.run(notes.insert().values(text="a"))
    await database.run(notes.select())

    assert [event.row_count for event in heard.of(QueryEvent)] == [1, 1]
    assert [event.verb for event in heard.of(QueryEvent)] == ["run", "run"]


async def test_iterate_is_one_event_at_its_end(database: Database, heard: Heard) -> None:
    await database.execute_many(RAW_INSERT, [{"text": str(n)} for n in range(600)])
    heard.clear()

    async for _ in database.iterate(notes.select()):
        assert heard.of(QueryEvent) == []

    assert (heard.query.verb, heard.query.row_count) == ("iterate", 600)
    assert (heard.query.operation, heard.query.collection) == ("SELECT", "notes")


async def test_what_the_body_of_a_loop_takes_is_told_apart(
    database: Database, heard: Heard
) -> None:
    await database.execute(RAW_INSERT, {"text": "a"})
    heard.clear()

    async for _ in database.iterate(notes.select()):
        await asyncio.sleep(0.05)

    assert 0.04 < heard.query.loop_time <= heard.query.duration


async def test_a_loop_that_is_left_is_an_event(database: Database, heard: Heard) -> None:
    await database.execute_many(RAW_INSERT, [{"text": str(n)} for n in range(600)])
    heard.clear()

    rows = database.iterate(notes.select())
    async for _ in rows:
        break
    await rows.aclose()

    assert 0 < (heard.query.row_count or 0) < 600
    assert heard.query.error is None


async def test_a_failed_query_has_its_error(
    database: Database, heard: Heard, driver: DriverCase
) -> None:
    with pytest.raises(driver.error) as raised:
        await database.fetch_all("SELECT nonsense FROM nowhere")

    assert heard.query.error is raised.value
    assert heard.query.row_count is None


async def test_a_failed_batch_has_its_error(
    database: Database, heard: Heard, driver: DriverCase
) -> None:
    with pytest.raises(driver.error) as raised:
        await database.execute_many(
            "INSERT INTO nowhere (text) VALUES (:text)", [{"text": "a"}, {"text": "b"}]
        )

    assert heard.query.error is raised.value
    assert heard.query.batch_size == 2


async def test_a_failed_stream_has_its_error(
    database: Database, heard: Heard, driver: DriverCase
) -> None:
    with pytest.raises(driver.error) as raised:
        async for _ in database.iterate("SELECT nonsense FROM nowhere"):
            pass

    assert heard.query.error is raised.value


async def test_a_cancelled_query_has_its_error(
    database: Database, heard: Heard, driver: DriverCase
) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(database.fetch_all(slow_query(driver)), 0.2)

    assert isinstance(heard.query.error, asyncio.CancelledError)
    assert heard.query.duration >= 0.1


async def test_a_query_that_is_not_sent_is_no_event(database: Database, heard: Heard) -> None:
    with pytest.raises(ParameterError):
        await database.fetch_all("SELECT :x")
    with pytest.raises(ParameterError):
        await database.execute_many(RAW_INSERT, [{"other": 1}])

    assert heard.of(QueryEvent) == []


async def test_events_say_where_they_come_from(
    database: Database, heard: Heard, driver: DriverCase, url: str
) -> None:
    await database.fetch_val("SELECT 1")

    source, parsed = heard.query.source, DatabaseURL(url)
    assert source.system in {driver.dialect, "mariadb"}
    assert source.namespace == parsed.database
    assert (source.address, source.port) == (parsed.hostname, parsed.port)


@requires("charsets")
async def test_a_mysql_server_says_which_one_it_is(database: Database, heard: Heard) -> None:
    version = await database.fetch_val("SELECT version()")

    assert (heard.query.source.system == "mariadb") == ("MariaDB" in version)


async def test_force_rollback_tells_too(make_database: MakeDatabase) -> None:
    heard = Heard()
    database = make_database(force_rollback=True)
    database.listen(heard.append)

    async with database:
        await database.execute(RAW_INSERT, {"text": "a"})

    assert heard.query.verb == "execute"
    assert heard.transactions == [("begin", 1), ("rollback", 1)]


async def test_events_cannot_be_changed(database: Database, heard: Heard) -> None:
    await database.fetch_val("SELECT 1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        heard.query.sql = "SELECT 2"  # type: ignore[misc]  # that is the point


async def test_after_the_end_nobody_is_told(database: Database) -> None:
    heard, others = Heard(), Heard()
    ends: list[Callable[[], None]] = [
        database.listen(heard.append),
        database.listen(heard.append),
        database.listen(others.append),
    ]
    await database.fetch_val("SELECT 1")
    assert len(heard.of(QueryEvent)) == 2

    ends[0]()
    ends[0]()
    await database.fetch_val("SELECT 1")
    assert len(heard.of(QueryEvent)) == 3

    ends[1]()
    ends[2]()
    await database.fetch_val("SELECT 1")
    assert len(heard.of(QueryEvent)) == 3
    assert len(others.of(QueryEvent)) == 2


async def test_a_listener_is_told_in_the_task_that_asked(database: Database) -> None:
    tasks: list[asyncio.Task[Any] | None] = []
    database.listen(lambda event: tasks.append(asyncio.current_task()))

    await database.fetch_val("SELECT 1")

    assert set(tasks) == {asyncio.current_task()}
