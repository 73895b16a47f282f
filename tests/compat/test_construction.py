"""``Database(...)``: made anywhere, at any time, from text or a URL."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import databases
from databases import Database, DatabaseURL
from tests.conftest import MakeDatabase
from tests.support.outside import Outside


def test_database_is_made_without_an_event_loop(url: str) -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()

    assert Database(url).url == url


def test_database_is_made_in_a_thread_without_an_event_loop(url: str) -> None:
    made: list[Database] = []
    thread = threading.Thread(target=lambda: made.append(Database(url)))

    thread.start()
    thread.join()

    assert [database.url for database in made] == [url]


def test_database_made_without_a_loop_serves_one_loop_after_another(url: str) -> None:
    database = Database(url)

    async def use() -> Any:
        async with database:
            async with database.transaction():
                return await database.fetch_val("SELECT 1")

    assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]


async def test_database_connects_again_after_it_disconnected(database: Database) -> None:
    for _ in range(3):
        await database.disconnect()
        await database.connect()

        assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("kind", [str, DatabaseURL])
def test_url_is_a_database_url_equal_to_what_was_given(kind: type) -> None:
    text = "postgresql://user:secret@host/name?min_size=1"

    database = Database(kind(text))

    assert isinstance(database.url, DatabaseURL)
    assert database.url == text


def test_url_and_options_are_plain_attributes() -> None:
    database = Database("sqlite:///name", max_size=3)

    database.url = DatabaseURL("sqlite:///other")
    database.options = {"max_size": 4}

    assert database.url == "sqlite:///other"
    assert database.options == {"max_size": 4}


def test_is_connected_is_a_plain_attribute() -> None:
    database = Database("sqlite:///name")

    assert database.is_connected is False
    assert vars(database)["is_connected"] is False


async def test_is_connected_follows_connect_and_disconnect(make_database: MakeDatabase) -> None:
    database = make_database()
    seen = [database.is_connected]

    await database.connect()
    seen.append(database.is_connected)
    await database.disconnect()
    seen.append(database.is_connected)

    assert seen == [False, True, False]


def test_positional_arguments_after_the_url_are_refused() -> None:
    with pytest.raises(TypeError):
        Database("sqlite:///name", True)  # type: ignore[call-arg]  # the point


def test_options_are_the_keywords_as_given() -> None:
    def password() -> str:
        return "secret"

    database = Database("postgresql://host/name", min_size=2, password=password)

    assert database.options == {"min_size": 2, "password": password}


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_options_of_the_url_are_honoured(make_database: MakeDatabase, url: str) -> None:
    database = make_database(f"{url}?min_size=1&max_size=2")

    await database.connect()

    assert _largest(database) == 2


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_options_given_by_keyword_win(make_database: MakeDatabase, url: str) -> None:
    database = make_database(f"{url}?min_size=1&max_size=2", max_size=3)

    await database.connect()

    assert _largest(database) == 3


def test_database_can_be_subclassed_with_its_own_init(outside: Outside) -> None:
    class Settings(databases.Database):
        def __init__(self, name: str) -> None:
            super().__init__(f"{outside.url}", force_rollback=True)
            self.name = name

    database = Settings("primary")

    async def use() -> Any:
        async with database:
            return await database.fetch_val("SELECT 1")

    assert (database.name, asyncio.run(use())) == ("primary", 1)


def _largest(database: Database) -> Any:
    """Ask the pool for its limit, as asyncpg's or the aio-libs' is asked."""
    backend: Any = database._backend
    pool = backend._pool
    return pool.get_max_size() if hasattr(pool, "get_max_size") else pool.maxsize
