"""Databases that are created for tests: what is in them, and that they go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import ConfigurationError, InterfaceError
from databases.testing import temporary_database
from tests.kit.conftest import Server
from tests.support.drivers import lacks, requires

metadata = sa.MetaData()
colours = sa.Table(
    "colours",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Enum("red", "blue", name="colour"), index=True),
)
BLUE = colours.insert().values(name="blue")


async def count(database: Database) -> int:
    async with database:
        return len(await database.fetch_all(colours.select()))


def test_database_is_there_for_the_block_alone(server: Server) -> None:
    database = Database(server.url)

    with temporary_database(database, metadata) as given:
        assert given is database
        assert len(server.databases()) == 1
        assert str(database.url) != server.url
        assert asyncio.run(count(database)) == 0

    assert server.databases() == []
    assert database.url == server.url


def test_application_finds_the_options_it_gave(server: Server) -> None:
    database = Database(server.url, max_size=3)

    with temporary_database(database):

        async def largest() -> int | None:
            async with database:
                return database.pool_stats().max_size

        assert asyncio.run(largest()) == 3


def test_coroutine_function_prepares_it_connected(server: Server) -> None:
    async def prepare(database: Database) -> None:
        await database.execute("CREATE TABLE colours (id INTEGER PRIMARY KEY, name VARCHAR(9))")
        await database.execute("INSERT INTO colours (id, name) VALUES (1, 'red')")

    # What prepares it stays, also where everything else is rolled back.
    database = Database(server.url, force_rollback=True)

    with temporary_database(database, prepare):
        assert asyncio.run(count(database)) == 1


def test_function_prepares_it_where_no_loop_runs(server: Server) -> None:
    def prepare(database: Database) -> None:
        asyncio.run(create(database))

    async def create(database: Database) -> None:
        async with database:
            await database.execute("CREATE TABLE colours (id INTEGER PRIMARY KEY, name VARCHAR(9))")

    async def test() -> int:
        database = Database(server.url)
        with temporary_database(database, prepare):
            return await count(database)

    assert asyncio.run(test()) == 0


def test_everything_is_undone_when_preparing_fails(server: Server) -> None:
    async def prepare(database: Database) -> None:
        raise ZeroDivisionError

    database = Database(server.url)

    with pytest.raises(ZeroDivisionError):
        with temporary_database(database, prepare):
            raise AssertionError("prepared")

    assert server.databases() == []
    assert database.url == server.url


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_everything_is_undone_when_the_block_fails(
    server: Server, error: type[BaseException]
) -> None:
    database = Database(server.url)

    with pytest.raises(error), temporary_database(database, metadata):
        raise error

    assert server.databases() == []
    assert database.url == server.url


@requires("server")
def test_somebody_in_a_transaction_there_is_put_out(server: Server) -> None:
    database = Database(server.url)

    with temporary_database(database, metadata):
        other = server.engine(database.url.database).connect()
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("SELECT * FROM colours")

    assert server.databases() == []
    other.invalidate()
    other.close()


def test_connected_database_is_refused(server: Server) -> None:
    async def test() -> None:
        async with Database(str(server.case.url)) as database:
            with pytest.raises(InterfaceError, match="is connected already"):
                with temporary_database(database):
                    raise AssertionError("created")

    asyncio.run(test())


def test_database_that_stays_connected_is_told(server: Server) -> None:
    async def test() -> None:
        database = Database(server.url)
        backend = None
        with pytest.raises(InterfaceError, match="is still connected"):
            with temporary_database(database):
                await database.connect()
                backend = database._backend
        assert backend is not None
        await backend.disconnect()
        database.is_connected = False

    asyncio.run(test())


@requires("server")
def test_option_that_names_a_database_gives_way(server: Server) -> None:
    name = "db" if server.case.dialect == "mysql" else "database"
    named: dict[str, Any] = {name: "somewhere_else"}
    database = Database(server.url, **named)

    with temporary_database(database, metadata):
        assert asyncio.run(count(database)) == 0


@requires("hosts")
@lacks("cursors")
def test_option_that_leads_elsewhere_is_refused(server: Server) -> None:
    address = sa.make_url(server.case.url)

    async def connect(*args: object, **options: object) -> object:
        import asyncpg

        return await asyncpg.connect(
            host=address.host,
            port=address.port,
            user=address.username,
            password=address.password,
            database=address.database,
        )

    database = Database(server.url, connect=connect)

    with pytest.raises(ConfigurationError, match="an option leads to another one"):
        with temporary_database(database):
            raise AssertionError("created")


@requires("file")
def test_database_in_memory_becomes_a_file(server: Server) -> None:
    for url in ("sqlite://", "sqlite:///file:x?mode=memory&cache=shared&uri=true&timeout=7"):
        database = Database(url)
        with temporary_database(database, metadata):
            asyncio.run(count(database))
            assert len(server.databases()) == 1
            assert database.url.options == ({"timeout": "7"} if "timeout" in url else {})


@requires("file")
def test_database_of_another_kind_is_refused(server: Server) -> None:
    database = Database(server.url)
    database.url = database.url.replace(dialect="oracle")

    with pytest.raises(ConfigurationError, match="'oracle' is none of sqlite, postgresql"):
        with temporary_database(database):
            raise AssertionError("created")


@requires("checks_passwords")
def test_refusal_of_the_server_comes_through(server: Server) -> None:
    database = Database(str(Database(server.url).url.replace(password="wrong")))

    with pytest.raises(Exception, match=r"(?i)password|denied"):
        with temporary_database(database):
            raise AssertionError("created")


def test_what_the_application_set_up_holds_there_too(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(server.url, log_values=False)
    backend: Any = database._backend
    backend._dialect._json_serializer = lambda value: "'changed'"
    told: list[object] = []
    database.listen(told.append)

    with caplog.at_level("DEBUG", "databases"), temporary_database(database, metadata):

        async def use() -> None:
            async with database:
                await database.fetch_val("SELECT 1 WHERE 'secret' = :value", {"value": "secret"})

        asyncio.run(use())
        inside: Any = database._backend
        assert inside._dialect._json_serializer is backend._dialect._json_serializer

    assert told
    assert "Args: ['secret']" not in caplog.text
