"""How each kind of database is created and dropped, through the driver of its URL."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlencode

from databases.testing.threads import run_apart

if TYPE_CHECKING:
    from databases.core import Database
    from databases.urls import DatabaseURL

__all__ = ["created", "current_name", "options_elsewhere"]

_LONGEST_NAME = 63
"""Bytes of a name on PostgreSQL; one character more on MySQL."""

# Options that name a database, and so would win over the URL.
_NAMING = {"database", "db", "dbname"}
# Options that are about the program's own connections.
_PRIVATE = {"min_size", "max_size", "minsize", "maxsize", "connect", "connection_class"}
_PRIVATE |= {"init", "setup", "reset", "on_connect", "on_acquire", "on_release"}
# Parts of SQLite's file: URIs; the database for tests is a plain file.
_OF_URIS = {"cache", "immutable", "mode", "nolock", "psow", "uri", "vfs"}


class Server(Protocol):
    """What a server is told."""

    name_query: str
    """Asks for the name of the database that a connection uses."""

    def entrances(self, url: DatabaseURL) -> list[str | None]:
        """Return the databases to connect to for work on others, the likeliest first."""

    async def create(self, database: Database, name: str) -> None:
        """Create the database *name*."""

    async def drop(self, database: Database, name: str) -> None:
        """Drop the database *name*, if it is there, whoever uses it."""


class PostgreSQL:
    """PostgreSQL from version 13 on."""

    name_query = "SELECT current_database()"

    def entrances(self, url: DatabaseURL) -> list[str | None]:
        """Try the program's own, which need not exist, and the one that every server has."""
        return list(dict.fromkeys([*filter(None, [url.database]), "postgres"]))

    async def create(self, database: Database, name: str) -> None:
        """Copy the server's template."""
        await database.execute(f"CREATE DATABASE {_quoted(database, name)}")

    async def drop(self, database: Database, name: str) -> None:
        """End the sessions in it and drop it."""
        await database.execute(f"DROP DATABASE IF EXISTS {_quoted(database, name)} WITH (FORCE)")


class MySQL:
    """MySQL and MariaDB."""

    name_query = "SELECT DATABASE()"

    def entrances(self, url: DatabaseURL) -> list[str | None]:
        """Connect to the server alone."""
        return [None]

    async def create(self, database: Database, name: str) -> None:
        """Make one that holds any text."""
        await database.execute(f"CREATE DATABASE {_quoted(database, name)} CHARACTER SET utf8mb4")

    async def drop(self, database: Database, name: str) -> None:
        """End the sessions in it and drop it."""
        # An open transaction in it holds locks that DROP would wait for, on
        # MariaDB for a day.
        sessions = await database.fetch_all(
            "SELECT id FROM information_schema.processlist WHERE db = :name", {"name": name}
        )
        for session in sessions:
            with suppress(Exception):  # it has ended by itself
                await database.execute(f"KILL {int(session[0])}")
        await database.execute(f"DROP DATABASE IF EXISTS {_quoted(database, name)}")


_SERVERS: dict[str, Server] = {
    "postgresql": PostgreSQL(),
    "postgres": PostgreSQL(),
    "mysql": MySQL(),
    "mariadb": MySQL(),
}


@contextmanager
def created(database: Database) -> Iterator[tuple[DatabaseURL, str]]:
    """Create a database beside that of *database*; give its URL and its name; drop it."""
    from databases.errors import ConfigurationError

    dialect = database.url.dialect
    if dialect == "sqlite":
        with tempfile.TemporaryDirectory(prefix="databases-", ignore_cleanup_errors=True) as folder:
            yield _file_url(database, folder), ""
        return
    server = _SERVERS.get(dialect)
    if server is None:
        raise ConfigurationError(
            f"cannot create a database for tests: {dialect!r} is none of sqlite, "
            f"{', '.join(_SERVERS)}; create it by other means"
        )
    name = _new_name(database.url.database)
    try:
        run_apart(lambda: _work(database, server, server.create, name))
        yield database.url.replace(database=name), name
    finally:
        run_apart(lambda: _work(database, server, server.drop, name))


async def current_name(database: Database) -> str:
    """Ask for the name of the database that *database* is connected to; "" on SQLite."""
    server = _SERVERS.get(database.url.dialect)
    return "" if server is None else str(await database.fetch_val(server.name_query))


def options_elsewhere(database: Database) -> dict[str, Any]:
    """Return the options of *database* that hold for another database as well."""
    # A program may have changed them on the backend.
    given = getattr(database._backend, "_options", database.options)
    return {name: value for name, value in given.items() if name not in _NAMING}


async def _work(database: Database, server: Server, act: Any, name: str) -> None:
    entrance = await _entered(database, server)
    try:
        await act(entrance, name)
    finally:
        await entrance.disconnect()


async def _entered(database: Database, server: Server) -> Database:
    from databases.core import Database as PlainDatabase

    options = {k: v for k, v in options_elsewhere(database).items() if k not in _PRIVATE}
    refusals: list[Exception] = []
    for name in server.entrances(database.url):
        url = _without(database.url.replace(database=name), _NAMING | _PRIVATE)
        entrance = PlainDatabase(url, **options)
        try:
            await entrance.connect()
        except Exception as error:  # noqa: BLE001  # the first one is raised
            refusals.append(error)
        else:
            return entrance
    raise refusals[0]


def _file_url(database: Database, folder: str) -> DatabaseURL:
    written = database.url.database or ""
    stem = "" if ":memory:" in written else Path(written).stem
    url = _without(database.url, _OF_URIS)
    return url.replace(database=f"{folder}/{_new_name(stem)}.db")


def _without(url: DatabaseURL, names: set[str]) -> DatabaseURL:
    query = parse_qsl(url.components.query, keep_blank_values=True)
    return url.replace(query=urlencode([(k, v) for k, v in query if k not in names]))


def _new_name(base: str | None) -> str:
    # Random: several runs, and several workers of one run, share a server.
    end = f"_test_{secrets.token_hex(4)}"
    start = (base or "databases").encode()[: _LONGEST_NAME - len(end)]
    return start.decode(errors="ignore") + end


def _quoted(database: Database, name: str) -> str:
    backend: Any = database._backend
    quoted: str = backend._dialect.identifier_preparer.quote_identifier(name)
    return quoted
