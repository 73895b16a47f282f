"""A whole backend by a third party, under the facade: see ``third_party``."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, TypedDict
from unittest import mock

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.dml import Insert, Update
from sqlalchemy.sql.elements import TextClause

from databases import Database, core
from databases.errors import InterfaceError, RecordTypeError
from databases.events import QueryEvent, TransactionEvent
from databases.interfaces import ConnectionBackend, DatabaseBackend, Record, TransactionBackend
from databases.results import Result
from tests.compat.third_party import PATH, SCHEME, ThreadBackend, ThreadConnection
from tests.support.tables import Mood, notes, typed

BY_ID = notes.select().order_by(notes.c.id)


@pytest.fixture
def database(tmp_path: pathlib.Path) -> Database:
    """Make a database over the third party's backend."""
    Database.SUPPORTED_BACKENDS[SCHEME] = PATH
    return Database(f"{SCHEME}:///{tmp_path}/test.db", colour="red")


@pytest.fixture
def backend(database: Database) -> ThreadBackend:
    """Give the backend of the database."""
    found: Any = database._backend
    assert isinstance(found, ThreadBackend)
    return found


@pytest_asyncio.fixture
async def connected(database: Database, backend: ThreadBackend) -> AsyncIterator[Database]:
    """Connect, with the table of notes."""
    async with database:
        await database.execute(CreateTable(notes))
        await database.execute_many(notes.insert(), [{"text": "one"}, {"text": "two"}])
        backend.calls.clear()
        backend.clauses.clear()
        yield database


async def test_backend_is_made_with_url_and_options(backend: ThreadBackend) -> None:
    assert backend.url.scheme == SCHEME
    assert backend.given == {"colour": "red"}


async def test_backend_is_not_given_what_the_database_reads(tmp_path: pathlib.Path) -> None:
    Database.SUPPORTED_BACKENDS[SCHEME] = PATH
    url = f"{SCHEME}:///{tmp_path}/test.db"

    made: Any = Database(
        f"{url}?slow_query_threshold=2&colour=red&log_values=false", slow_query_threshold=1
    )._backend

    assert str(made.url) == f"{url}?colour=red"
    assert made.given == {}


async def test_backend_is_connected_once_and_disconnected_once(
    database: Database, backend: ThreadBackend
) -> None:
    await asyncio.gather(*(database.connect() for _ in range(3)))
    await database.disconnect()
    await database.disconnect()

    assert backend.calls == [("connect",), ("disconnect",)]


async def test_connection_is_the_one_of_the_backend(connected: Database) -> None:
    connection = connected.connection()

    assert isinstance(connection._connection, ThreadConnection)
    async with connection:
        assert connection.raw_connection is connection._connection.raw_connection


async def test_every_query_is_between_acquire_and_release(
    connected: Database, backend: ThreadBackend
) -> None:
    await connected.fetch_all(BY_ID)
    await connected.fetch_val(BY_ID)

    assert backend.calls == [("acquire",), ("release",)] * 2


async def test_core_expression_arrives_as_it_is(
    connected: Database, backend: ThreadBackend
) -> None:
    await connected.fetch_all(BY_ID)

    assert backend.clauses[0] is BY_ID


async def test_string_arrives_as_a_text_clause_with_its_values(
    connected: Database, backend: ThreadBackend
) -> None:
    row = await connected.fetch_one("SELECT text FROM notes WHERE text = :t", {"t": "two"})

    (clause,) = backend.clauses
    assert isinstance(clause, TextClause)
    assert clause.compile().params == {"t": "two"}
    assert row is not None
    assert row["text"] == "two"


async def test_values_of_insert_and_update_arrive_in_the_clause(
    connected: Database, backend: ThreadBackend
) -> None:
    await connected.execute(notes.insert(), {"text": "three"})
    await connected.execute(notes.update().where(notes.c.id == 1), {"text": "changed"})

    insert, update = backend.clauses
    assert isinstance(insert, Insert)
    assert isinstance(update, Update)
    assert [row["text"] for row in await connected.fetch_all(BY_ID)] == [
        "changed",
        "two",
        "three",
    ]


async def test_values_of_a_select_arrive_as_bind_parameters(connected: Database) -> None:
    query = BY_ID.where(notes.c.text == sa.bindparam("wanted"))

    rows = await connected.fetch_all(query, {"wanted": "two"})

    assert [row["id"] for row in rows] == [2]


async def test_result_of_execute_reaches_the_caller_untouched(connected: Database) -> None:
    assert await connected.execute(notes.insert(), {"text": "three"}) == ("executed", 3)


async def test_execute_many_gets_a_list_of_clauses(
    connected: Database, backend: ThreadBackend
) -> None:
    await connected.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])
    await connected.execute_many("INSERT INTO notes (text) VALUES (:t)", [{"t": "c"}])

    calls = [call for call in backend.calls if call[0] == "execute_many"]
    assert calls == [("execute_many", 2), ("execute_many", 1)]
    assert len(await connected.fetch_all(BY_ID)) == 5


async def test_records_of_the_backend_reach_the_caller(connected: Database) -> None:
    row = await connected.fetch_one(BY_ID)

    assert isinstance(row, Record)
    assert dict(row) == {"id": 1, "text": "one", "completed": None}
    assert (row[0], row["text"], row[notes.c.text], row.text) == (1, "one", "one", "one")


async def test_values_converted_by_the_backend_are_not_converted_again(
    connected: Database,
) -> None:
    await connected.execute(CreateTable(typed))
    values = {"document": {"a": [1]}, "mood": Mood.SAD, "counted": 5, "shouted": "loud"}
    await connected.execute(typed.insert(), values)

    row = await connected.fetch_one(typed.select())

    assert row is not None
    assert row["document"] == {"a": [1]}
    assert row["mood"] is Mood.SAD
    assert row["counted"] == 1005
    assert row["shouted"] == "LOUD"


async def test_fetch_val_is_asked_with_the_column(connected: Database) -> None:
    with mock.patch.object(ThreadConnection, "fetch_val", autospec=True) as fetch_val:
        fetch_val.return_value = "answer"

        assert await connected.fetch_val(BY_ID, column="text") == "answer"

    call: Any = fetch_val.await_args
    assert "text" in [*call.args, *call.kwargs.values()]


async def test_rows_of_any_kind_reach_the_caller_untouched(connected: Database) -> None:
    rows = [{"id": 1}, ("x",), object()]
    with mock.patch.object(ThreadConnection, "fetch_all", mock.AsyncMock(return_value=rows)):
        assert await connected.fetch_all(BY_ID) is rows

    with mock.patch.object(ThreadConnection, "fetch_one", mock.AsyncMock(return_value=rows[0])):
        assert await connected.fetch_one(BY_ID) is rows[0]


async def test_records_of_the_backend_become_typed(connected: Database) -> None:
    class Note(NamedTuple):
        text: str
        id: int
        completed: bool | None

    expected = [Note("one", 1, None), Note("two", 2, None)]

    assert await connected.fetch_all(BY_ID, into=Note) == expected
    assert await connected.fetch_one(BY_ID, into=Note) == expected[0]
    assert [note async for note in connected.iterate(BY_ID, into=Note)] == expected
    assert await connected.fetch_column(BY_ID, column="text") == ["one", "two"]


async def test_rows_of_any_kind_become_typed_if_they_have_names(connected: Database) -> None:
    class Pair(TypedDict):
        a: int
        b: int

    rows = [{"a": 1, "b": 2}, {"b": 4, "a": 3}]
    with mock.patch.object(ThreadConnection, "fetch_all", mock.AsyncMock(return_value=rows)):
        assert await connected.fetch_all(BY_ID, into=Pair) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
        assert await connected.fetch_all(BY_ID, into=tuple) == [(1, 2), (4, 3)]

    with mock.patch.object(ThreadConnection, "fetch_all", mock.AsyncMock(return_value=[(1, 2)])):
        with pytest.raises(RecordTypeError, match="tuple.*it has no column names"):
            await connected.fetch_all(BY_ID, into=Pair)
        assert await connected.fetch_all(BY_ID, into=lambda row: row[1]) == [2]


async def test_run_gives_what_the_verbs_of_the_backend_tell(connected: Database) -> None:
    insert = await connected.run(notes.insert(), {"text": "three"})
    returning = await connected.run(notes.delete().where(notes.c.id == 2).returning(notes.c.text))
    select = await connected.run("SELECT id FROM notes ORDER BY id")

    assert insert == Result(None, None, None, [])
    assert (returning.rowcount, [row["text"] for row in returning.rows]) == (1, ["two"])
    assert (select.rowcount, [row["id"] for row in select.rows]) == (2, [1, 3])


async def test_iterate_passes_the_rows_on(connected: Database) -> None:
    texts = [row["text"] async for row in connected.iterate(BY_ID)]

    assert texts == ["one", "two"]


async def test_transaction_is_told_whether_it_is_the_root_and_its_options(
    connected: Database, backend: ThreadBackend
) -> None:
    async with connected.transaction(isolation="serializable", colour="red"):
        async with connected.transaction():
            pass

    assert backend.calls == [
        ("acquire",),
        ("start", True, {"isolation": "serializable", "colour": "red"}),
        ("start", False, {}),
        ("commit", False),
        ("commit", True),
        ("release",),
    ]


async def test_errors_roll_back(connected: Database, backend: ThreadBackend) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connected.transaction():
            await connected.execute(notes.delete())
            raise ZeroDivisionError

    assert ("rollback", True) in backend.calls
    assert len(await connected.fetch_all(BY_ID)) == 2


async def test_decorator_serves_concurrent_tasks(connected: Database) -> None:
    lock = asyncio.Lock()

    @connected.transaction()
    async def read() -> list[Any]:
        rows = await connected.fetch_all(BY_ID)
        return [row["text"] for row in rows]

    async def call() -> list[Any]:
        async with lock:
            return await read()

    assert await asyncio.gather(*(call() for _ in range(5))) == [["one", "two"]] * 5


async def test_running_transaction_is_the_one_of_the_backend(connected: Database) -> None:
    async with connected.transaction() as transaction:
        running = core._ACTIVE_TRANSACTIONS.get()

        assert running is not None
        assert isinstance(running[transaction], TransactionBackend)
        assert running[transaction] is transaction._transaction


async def test_force_rollback_works(database: Database, backend: ThreadBackend) -> None:
    async with database:
        await database.execute(CreateTable(notes))
    with database.force_rollback():
        async with database:
            await database.execute(notes.insert(), {"text": "gone"})
            assert len(await database.fetch_all(BY_ID)) == 1

    async with database:
        assert await database.fetch_all(BY_ID) == []


async def test_listeners_are_told(connected: Database) -> None:
    heard: list[Any] = []
    connected.listen(heard.append)

    await connected.fetch_all("SELECT text FROM notes WHERE id > :id", {"id": 0})
    await connected.fetch_one(notes.select())
    await connected.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])
    async for _ in connected.iterate(notes.select()):
        pass

    told = [
        (event.verb, event.operation, event.collection, event.row_count, event.batch_size)
        for event in heard
        if isinstance(event, QueryEvent)
    ]
    assert told == [
        ("fetch_all", None, None, 2, None),
        ("fetch_one", "SELECT", "notes", 1, None),
        ("execute_many", "INSERT", "notes", None, 2),
        ("iterate", "SELECT", "notes", 4, None),
    ]
    assert [event.operation for event in heard if isinstance(event, TransactionEvent)] == [
        "begin",
        "commit",
    ]


async def test_backend_can_be_assigned(database: Database, backend: ThreadBackend) -> None:
    other: Any = Database("sqlite:///unused")
    other._backend = backend

    async with other:
        assert await other.fetch_val("SELECT 42") == 42

    assert ("acquire",) in backend.calls


@pytest.mark.parametrize(
    ("interface", "method"),
    [(DatabaseBackend, "connect"), (ConnectionBackend, "acquire"), (TransactionBackend, "commit")],
)
async def test_interface_says_what_was_not_implemented(interface: type, method: str) -> None:
    unfinished = type("Unfinished", (interface,), {})()

    with pytest.raises(NotImplementedError):
        await getattr(unfinished, method)()


async def test_backend_without_fetch_val_gets_it_from_fetch_one(connected: Database) -> None:
    inherited = ConnectionBackend.fetch_val

    with mock.patch.object(ThreadConnection, "fetch_val", inherited):
        assert await connected.fetch_val(BY_ID, column="text") == "one"
        assert await connected.fetch_val(BY_ID.where(notes.c.id == -1)) is None


async def test_what_needs_a_driver_of_ours_says_so(database: Database) -> None:
    async with database:
        with pytest.raises(InterfaceError, match="ThreadBackend is no backend of this library"):
            await database.create_all(sa.MetaData())
        with pytest.raises(InterfaceError, match="synchronous engine"):
            await database.run_sync(sa.inspect)
