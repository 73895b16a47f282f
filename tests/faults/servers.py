"""Private servers that a test may stop, kill and start again."""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.faults.acts import Readable
from tests.support.drivers import DRIVERS, DriverCase
from tests.support.tables import metadata

LIBRARY = pathlib.Path(__file__).parents[2] / "scripts" / "lib"
LIMIT = 3
"""Connections that the user `limited` may have."""


def _script(name: str) -> Any:
    """Import a module of the project's scripts, which are no package."""
    if str(LIBRARY) not in sys.path:
        sys.path.append(str(LIBRARY))
    return importlib.import_module(name)


@dataclass(frozen=True)
class Recipe:
    """How to make and run one kind of server."""

    make: Callable[[Any, int], list[Any]]
    """Make the data in a place; give the command that serves them on a port."""
    kill: signal.Signals
    """The signal that ends it at once, with whatever is going on."""
    accounts: tuple[str, ...]
    """Statements that make the user `limited`."""
    scheme: str
    database: str


class RestartableServer(Readable):
    """A server of one's own. Its folder goes away with it, and with this process."""

    def __init__(self, recipe: Recipe) -> None:
        private = _script("private")
        self._private = private
        self._recipe = recipe
        self._place = private.make_place("faults")
        # Removes the folder however this process ends.
        self._keeper = private.PrivateServer(self._place, ["sleep", "infinity"], signal.SIGTERM)
        self.port: int = private.free_port()
        self._running: Any = None
        try:
            self._command = recipe.make(self._place, self.port)
            self.start()
            for statement in recipe.accounts:
                self.run(statement)
            with self._connected() as connection:
                metadata.create_all(connection)
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, and return when it answers."""
        folder = self._place.folder / "run"
        folder.mkdir(exist_ok=True)
        place = self._private.Place(folder, self._place.user)
        place.give(folder, 0o755)
        self._running = self._private.PrivateServer(place, self._command, self._recipe.kill)
        self._running.wait_until(lambda: self.run("SELECT 1"), "a private server")

    def kill(self) -> None:
        """End it at once."""
        if self._running is not None:
            running, self._running = self._running, None
            running.stop()

    def close(self) -> None:
        """End it and remove its data."""
        self.kill()
        self._keeper.stop()

    def url(self, case: DriverCase, user: str = "test") -> str:
        """Give the URL for *case*."""
        return f"{DRIVERS[case.name].scheme}://{self._address(user)}"

    def run(self, statement: str) -> None:
        """Run *statement*, committed at once."""
        with self._connected() as connection:
            connection.exec_driver_sql(statement)

    def column(self, column: sa.Column[Any]) -> list[Any]:
        """List the committed values of *column*, sorted."""
        with self._connected() as connection:
            return sorted(row[0] for row in connection.execute(sa.select(column)))

    def _address(self, user: str) -> str:
        return f"{user}:test@127.0.0.1:{self.port}/{self._recipe.database}"

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(
            f"{self._recipe.scheme}://{self._address('test')}",
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            yield connection


def _make_postgresql(place: Any, port: int) -> list[Any]:
    postgres = _script("postgres")
    binaries = postgres.find_binaries()
    if binaries is None:
        pytest.skip("there is no initdb and postgres on this machine")
    place.run(
        [
            *(binaries / "initdb", "--pgdata", place.folder / "data", "--username", "test"),
            *("--auth", "scram-sha-256", "--pwfile", place.write("password", "test")),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ],
        cannot="cannot make a PostgreSQL database",
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": place.folder,
        "fsync": "off",
        "full_page_writes": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [binaries / "postgres", "-D", place.folder / "data", *options]


def _make_mysql(place: Any, port: int) -> list[Any]:
    mariadb = _script("mariadb")
    binary = mariadb.find_binary()
    if binary is None:
        pytest.skip("there is no mariadbd or mysqld on this machine")
    data = place.folder / "data"
    mariadb._make_tables(place, binary, data)
    accounts = (
        "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4;\n"
        "CREATE USER IF NOT EXISTS 'test'@'%' IDENTIFIED BY 'test';\n"
        "GRANT ALL PRIVILEGES ON *.* TO 'test'@'%' WITH GRANT OPTION;\n"
    )
    return [
        *(binary, "--no-defaults", f"--datadir={data}", "--bind-address=127.0.0.1"),
        *(f"--port={port}", f"--socket={place.folder / 'socket'}", "--skip-name-resolve"),
        f"--pid-file={place.folder / 'pid'}",
        f"--init-file={place.write('accounts.sql', accounts)}",
        *("--skip-log-bin", "--loose-innodb-log-file-size=8M", "--loose-mysqlx=0"),
        *("--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=2"),
    ]


RECIPES = {
    "postgresql": Recipe(
        _make_postgresql,
        signal.SIGQUIT,
        (
            f"CREATE ROLE limited LOGIN PASSWORD 'test' CONNECTION LIMIT {LIMIT}",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO limited",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO limited",
        ),
        "postgresql+psycopg",
        "postgres",
    ),
    "mysql": Recipe(
        _make_mysql,
        signal.SIGKILL,
        (
            f"CREATE USER 'limited'@'%%' IDENTIFIED BY 'test' WITH MAX_USER_CONNECTIONS {LIMIT}",
            "GRANT ALL PRIVILEGES ON *.* TO 'limited'@'%%'",
        ),
        "mysql+pymysql",
        "test",
    ),
}
