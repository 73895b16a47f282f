"""Errors that programs catch as ``AssertionError`` and match by their text."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.support.outside import Outside

SERVERS = pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")

Misuse = Callable[[Any], Awaitable[Any]]

ON_A_CONNECTION: dict[str, Misuse] = {
    "release": lambda connection: connection.release(),
    "fetch_all": lambda connection: connection.fetch_all(_text()),
    "fetch_one": lambda connection: connection.fetch_one(_text()),
    "fetch_val": lambda connection: connection.fetch_val(_text()),
    "execute": lambda connection: connection.execute(_text()),
    "execute_many": lambda connection: connection.execute_many([_text()]),
    "iterate": lambda connection: connection.iterate(_text()).__anext__(),
    "start": lambda connection: connection.transaction().start(True, {}),
}

ON_A_DATABASE: dict[str, Misuse] = {
    "fetch_all": lambda database: database.fetch_all("SELECT 1"),
    "fetch_one": lambda database: database.fetch_one("SELECT 1"),
    "fetch_val": lambda database: database.fetch_val("SELECT 1"),
    "execute": lambda database: database.execute("SELECT 1"),
    "execute_many": lambda database: database.execute_many(
        "INSERT INTO notes (text) VALUES (:t)", [{"t": "x"}]
    ),
    "iterate": lambda database: database.iterate("SELECT 1").__anext__(),
    "connection": lambda database: database.connection().__aenter__(),
    "transaction": lambda database: database.transaction().start(),
}


def _text() -> Any:
    return sa.text("SELECT 1")


async def test_acquiring_twice_is_an_error(database: Any) -> None:
    async with database.connection() as connection:
        with pytest.raises(AssertionError, match=r"^Connection is already acquired"):
            await connection._connection.acquire()

        assert await connection.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("use", ON_A_CONNECTION)
async def test_use_of_a_connection_that_is_not_acquired_is_an_error(
    database: Any, use: str
) -> None:
    connection = database.connection()._connection

    with pytest.raises(AssertionError, match=r"^Connection is not acquired"):
        await ON_A_CONNECTION[use](connection)


async def test_raw_connection_that_is_not_acquired_is_an_error(database: Any) -> None:
    connection = database.connection()

    for owner in (connection, connection._connection):
        with pytest.raises(AssertionError, match=r"^Connection is not acquired"):
            owner.raw_connection  # noqa: B018  # reading it is the point


@SERVERS
async def test_connecting_a_backend_twice_is_an_error(database: Any) -> None:
    with pytest.raises(AssertionError, match=r"^DatabaseBackend is already running"):
        await database._backend.connect()

    assert await database.fetch_val("SELECT 1") == 1


@SERVERS
async def test_disconnecting_a_backend_that_does_not_run_is_an_error(outside: Outside) -> None:
    backend: Any = Database(outside.url)._backend

    with pytest.raises(AssertionError, match=r"^DatabaseBackend is not running"):
        await backend.disconnect()


@SERVERS
@pytest.mark.parametrize("use", ON_A_DATABASE)
async def test_use_of_a_database_before_connect_is_an_error(outside: Outside, use: str) -> None:
    database = Database(outside.url)

    with pytest.raises(AssertionError, match=r"^DatabaseBackend is not running"):
        await ON_A_DATABASE[use](database)


@SERVERS
@pytest.mark.parametrize("use", ON_A_DATABASE)
async def test_use_of_a_database_after_disconnect_is_an_error(database: Any, use: str) -> None:
    await database.disconnect()

    with pytest.raises(AssertionError, match=r"^DatabaseBackend is not running"):
        await ON_A_DATABASE[use](database)


@SERVERS
async def test_acquiring_from_a_backend_that_does_not_run_is_an_error(outside: Outside) -> None:
    backend: Any = Database(outside.url)._backend

    with pytest.raises(AssertionError, match=r"^DatabaseBackend is not running"):
        await backend.connection().acquire()


async def test_errors_are_real_classes_of_ours(database: Any) -> None:
    connection = database.connection()._connection

    with pytest.raises(AssertionError) as caught:
        await connection.release()

    assert type(caught.value) is not AssertionError
    assert type(caught.value).__module__.startswith("databases")


def test_failed_use_before_connect_leaves_the_database_usable(outside: Outside) -> None:
    database = Database(outside.url)

    async def use() -> Any:
        with contextlib.suppress(AssertionError):
            await database.fetch_val("SELECT 1")
        async with database:
            return await database.fetch_val("SELECT 1")

    assert asyncio.run(use()) == 1


OPTIMIZED = """
import asyncio, sys
from databases import Database
from sqlalchemy import text

async def text_of(awaitable):
    try:
        await awaitable
    except AssertionError as error:
        return str(error)
    return "nothing was raised"

async def main(url):
    assert False, "assertions are switched off"
    database = Database(url)
    if not url.startswith("sqlite"):
        print(await text_of(database.fetch_val("SELECT 1")))
        print(await text_of(database.transaction().start()))
        print(await text_of(database._backend.disconnect()))
    await database.connect()
    if not url.startswith("sqlite"):
        print(await text_of(database._backend.connect()))
    connection = database.connection()
    print(await text_of(connection._connection.release()))
    print(await text_of(connection._connection.fetch_all(text("SELECT 1"))))
    async with connection:
        print(await text_of(connection._connection.acquire()))
    await database.disconnect()

asyncio.run(main(sys.argv[1]))
"""


def test_errors_are_raised_when_assertions_are_switched_off(outside: Outside) -> None:
    ended = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMIZED, outside.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    lines = [
        "Connection is not acquired",
        "Connection is not acquired",
        "Connection is already acquired",
    ]
    if outside.case.can("server"):
        lines = [
            *["DatabaseBackend is not running"] * 3,
            "DatabaseBackend is already running",
            *lines,
        ]
    assert ended.stderr == ""
    printed = ended.stdout.splitlines()
    assert len(printed) == len(lines)
    assert [p.startswith(line) for p, line in zip(printed, lines, strict=True)] == [True] * len(
        lines
    )
