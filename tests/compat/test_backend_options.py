"""``_options`` changed between construction and ``connect()``, and what connects with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database, DatabaseURL
from tests.conftest import MakeDatabase
from tests.support.outside import Outside
from tests.support.tables import typed

SERVERS = pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")


def _largest(database: Any) -> Any:
    pool = database._backend._pool
    return pool.get_max_size() if hasattr(pool, "get_max_size") else pool.maxsize


@SERVERS
async def test_options_added_before_connect_are_honoured(make_database: MakeDatabase) -> None:
    database: Any = make_database(min_size=1)

    database._backend._options["max_size"] = 3
    await database.connect()

    assert _largest(database) == 3


@SERVERS
async def test_options_replaced_before_connect_are_honoured(make_database: MakeDatabase) -> None:
    database: Any = make_database(min_size=1, max_size=5)

    database._backend._options = {"min_size": 1, "max_size": 3}
    await database.connect()

    assert _largest(database) == 3


@SERVERS
async def test_options_changed_between_two_connects_are_honoured(
    make_database: MakeDatabase,
) -> None:
    database: Any = make_database(min_size=1, max_size=5)
    await database.connect()
    await database.disconnect()

    database._backend._options["max_size"] = 3
    await database.connect()

    assert _largest(database) == 3


@pytest.mark.drivers("asyncpg")
async def test_hook_added_to_the_options_is_called(make_database: MakeDatabase) -> None:
    called: list[Any] = []
    database: Any = make_database(min_size=1)

    async def init(connection: Any) -> None:
        called.append(await connection.fetchval("SELECT 1"))

    database._backend._options["init"] = init
    await database.connect()

    assert called == [1]


@pytest.mark.drivers("asyncpg")
@pytest.mark.parametrize("encoder", [json.dumps, str], ids=["dumps", "str"])
async def test_json_codec_set_in_the_init_hook_is_not_decoded_twice(
    make_database: MakeDatabase, encoder: Any
) -> None:
    async def init(connection: Any) -> None:
        await connection.set_type_codec(
            "json", encoder=encoder, decoder=json.loads, schema="pg_catalog"
        )

    database = make_database(init=init)
    await database.connect()
    await database.execute_many(typed.insert(), [{"document": {"a": [1]}}, {"document": [1, 2]}])

    rows: Any = await database.fetch_all(sa.select(typed.c.document).order_by(typed.c.id))

    assert [row["document"] for row in rows] == [{"a": [1]}, [1, 2]]
    assert [row.document for row in rows] == [{"a": [1]}, [1, 2]]
    assert [dict(row) for row in rows] == [{"document": {"a": [1]}}, {"document": [1, 2]}]
    assert await database.fetch_val(sa.select(typed.c.document).order_by(typed.c.id)) == {"a": [1]}


@pytest.mark.drivers("asyncpg")
async def test_callable_password_is_called_when_connecting(
    make_database: MakeDatabase, url: str
) -> None:
    called: list[str] = []

    def password() -> str:
        called.append("called")
        return DatabaseURL(url).password or "test"

    database = make_database(url, password=password, min_size=1)
    await database.connect()

    assert await database.fetch_val("SELECT 1") == 1
    assert called


@pytest.mark.drivers("asyncpg")
async def test_password_in_the_options_wins_over_the_url(
    make_database: MakeDatabase, url: str
) -> None:
    right = DatabaseURL(url).password or "test"
    database: Any = make_database(str(DatabaseURL(url).replace(username="test", password="wrong")))

    database._backend._options["password"] = right
    await database.connect()

    assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.drivers("aiomysql", "asyncmy")
async def test_charset_added_to_the_options_is_honoured(make_database: MakeDatabase) -> None:
    database: Any = make_database()

    database._backend._options["charset"] = "latin1"
    await database.connect()

    assert await database.fetch_val("SELECT @@character_set_client") == "latin1"


@pytest.mark.drivers("aiosqlite")
async def test_options_of_sqlite_are_kept_on_the_backend(make_database: MakeDatabase) -> None:
    database: Any = make_database(timeout=3)

    assert database._backend._options == {"timeout": 3}

    await database.connect()
    assert await database.fetch_val("PRAGMA busy_timeout") == 3000


@pytest.mark.drivers("aiosqlite")
async def test_options_of_sqlite_changed_before_connect_are_honoured(
    make_database: MakeDatabase,
) -> None:
    database: Any = make_database()

    database._backend._options["timeout"] = 4
    await database.connect()

    assert await database.fetch_val("PRAGMA busy_timeout") == 4000


@SERVERS
async def test_connection_kwargs_overridden_by_a_derived_backend_are_honoured(
    outside: Outside,
) -> None:
    database: Any = Database(outside.url, min_size=1, max_size=9)
    derived: Any = type(database._backend)

    class Backend(derived):  # type: ignore[misc]  # the class of the driver under test
        def _get_connection_kwargs(self) -> dict[str, Any]:
            kwargs = super()._get_connection_kwargs()
            return {name: 2 if value == 9 else value for name, value in kwargs.items()}

    database._backend = Backend(database.url, **database.options)

    async with database:
        assert _largest(database) == 2


@SERVERS
async def test_database_url_of_the_backend_is_the_one_that_is_connected_to(
    make_database: MakeDatabase, url: str
) -> None:
    database: Any = make_database(str(DatabaseURL(url).replace(database="elsewhere")))

    database._backend._database_url = DatabaseURL(url)
    await database.connect()

    assert await database.fetch_val("SELECT 1") == 1
