"""The database as seen from outside: a synchronous connection that never uses the library."""

from __future__ import annotations

import abc
import contextlib
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.support.drivers import DriverCase
from tests.support.tables import array_metadata, metadata

SESSION_END = 5.0
"""Longest time, in seconds, that a server may take to notice a closed connection."""
LOCK_WAIT = 3.0
"""Longest time, in seconds, that a lock of others may hide what is committed (SQLite)."""


Values = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Outside(abc.ABC):
    """One fresh database with the shared tables, and a look at it from outside.

    The connection is in autocommit: what it reads is what others committed.
    """

    def __init__(self, case: DriverCase, name: str) -> None:
        self.case = case
        self.name = name
        self.url = ""
        self.capabilities: frozenset[str] = frozenset()
        """What the running server can do, of ``SERVER_CAPABILITIES``."""
        self._connection: sa.Connection | None = None
        self._lock_wait = 0.0

    @abc.abstractmethod
    def create(self) -> None:
        """Make the database and its tables, and connect to it."""

    @abc.abstractmethod
    def drop(self) -> None:
        """Disconnect and remove the database."""

    @abc.abstractmethod
    def open_transactions(self) -> list[str]:
        """Describe the transactions of others that are open now."""

    @abc.abstractmethod
    def sessions(self) -> list[str]:
        """Describe the connections of others that are open now."""

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a lock of others be an error at once: whoever holds it may need the event loop."""
        wait, self._lock_wait = self._lock_wait, 0.0
        try:
            yield
        finally:
            self._lock_wait = wait

    @property
    def connection(self) -> sa.Connection:
        """Give the synchronous connection."""
        assert self._connection is not None
        return self._connection

    def run(self, statement: sa.Executable | str, values: Mapping[str, Any] | None = None) -> None:
        """Run *statement*, committed at once; a string takes no values."""
        self._execute(statement, values)

    def insert(self, table: sa.Table, *rows: Mapping[str, Any]) -> None:
        """Insert *rows* into *table*."""
        # One commit for all of them: SQLite waits for the disk at each.
        with contextlib.ExitStack() as stack:
            if self.case.can("file"):
                self.run("BEGIN IMMEDIATE")
                stack.callback(self.run, "COMMIT")
            self._execute(table.insert(), rows)

    def rows(self, statement: sa.Executable | str) -> list[tuple[Any, ...]]:
        """Read what is committed."""
        return [tuple(row) for row in self._execute(statement)]

    def value(self, statement: sa.Executable | str) -> Any:
        """Read the first column of the first committed row."""
        return self._execute(statement).scalar()

    def count(self, table: sa.Table) -> int:
        """Count the committed rows of *table*."""
        return int(self.value(sa.select(sa.func.count()).select_from(table)))

    def column(self, column: sa.Column[Any]) -> list[Any]:
        """List the committed values of *column*, sorted."""
        return sorted(row[0] for row in self.rows(sa.select(column)))

    def clean(self) -> None:
        """Empty the shared tables and drop every other one."""
        tables = self._tables()
        dirty = sa.union_all(
            *(
                sa.select(sa.literal(table.name)).where(sa.exists(sa.select(1).select_from(table)))
                for table in tables
            )
        )
        for (name,) in self.rows(dirty):
            self.run(f"DELETE FROM {name}")
        strangers = set(self._table_names()).difference(table.name for table in tables)
        for name in sorted(strangers):
            self.run(f"DROP TABLE {self.connection.dialect.identifier_preparer.quote(name)}")

    def check_left_alone(self) -> None:
        """Raise ``AssertionError`` when somebody is still connected.

        A server notices a closed connection a moment after the client closed
        it, and tells nobody: this is the one place that asks again.
        """
        deadline = time.monotonic() + SESSION_END
        while sessions := self.sessions():
            assert time.monotonic() < deadline, f"connections left open: {sessions}"
            time.sleep(0.005)

    def _execute(
        self, statement: sa.Executable | str, values: Values = None
    ) -> sa.CursorResult[Any]:
        if isinstance(statement, str):
            return self.connection.exec_driver_sql(statement)
        return self.connection.execute(statement, values or {})

    def _tables(self) -> list[sa.Table]:
        return metadata.sorted_tables

    def _table_names(self) -> list[str]:
        return sa.inspect(self.connection).get_table_names()

    def _create_tables(self) -> None:
        metadata.create_all(self.connection)


class ServerOutside(Outside):
    """A database on a server, dropped at the end of the session."""

    def create(self) -> None:
        self._admin(f"CREATE DATABASE {self.name}{self._create_suffix()}")
        self.url = self._rendered(self.case.url, database=self.name)
        engine = sa.create_engine(
            self._sync_url(database=self.name),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        self._connection = engine.connect()
        self._settings()
        self._create_tables()
        self.capabilities = frozenset(self._server_capabilities())

    def drop(self) -> None:
        self.connection.close()
        self._admin(f"DROP DATABASE {self.name}{self._drop_suffix()}")

    def accepts_wrong_password(self) -> bool:
        """Say whether the server lets the test user in with any password."""
        engine = sa.create_engine(self._sync_url(password="wrong"), poolclass=NullPool)
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            return False
        return True

    def _server_capabilities(self) -> Iterable[str]:
        if not self.accepts_wrong_password():
            yield "checks_passwords"

    def _settings(self) -> None:
        """Prepare the outside connection, so that it fails instead of waiting for long."""

    def _create_suffix(self) -> str:
        return ""

    def _drop_suffix(self) -> str:
        return ""

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(
            self._sync_url(), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def _sync_url(self, **parts: str) -> sa.URL:
        url = sa.make_url(self.case.url).set(drivername=self.case.sync_scheme, query={})
        return url.set(**parts)  # type: ignore[arg-type]  # the parts are all strings

    @staticmethod
    def _rendered(url: str, **parts: str) -> str:
        changed = sa.make_url(url).set(**parts)  # type: ignore[arg-type]  # as above
        return changed.render_as_string(hide_password=False)


class PostgreSQLOutside(ServerOutside):
    """A PostgreSQL database, seen through psycopg2."""

    def open_transactions(self) -> list[str]:
        return self._activity("AND state <> 'idle'")

    def sessions(self) -> list[str]:
        return self._activity("")

    def _activity(self, condition: str) -> list[str]:
        found = self.rows(
            "SELECT pid, state, query FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend' "
            f"AND pid <> pg_backend_pid() {condition}"
        )
        return [f"{pid} {state}: {query}" for pid, state, query in found]

    def _settings(self) -> None:
        self.run("SET lock_timeout = '5s'")
        self.run("SET statement_timeout = '30s'")

    def _server_capabilities(self) -> Iterable[str]:
        yield from super()._server_capabilities()
        yield "insert_returning"
        if self.value("SHOW ssl") == "on":
            yield "tls"

    def _drop_suffix(self) -> str:
        return " WITH (FORCE)"

    def _tables(self) -> list[sa.Table]:
        return metadata.sorted_tables + array_metadata.sorted_tables

    def _table_names(self) -> list[str]:
        return [
            name
            for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]

    def _create_tables(self) -> None:
        super()._create_tables()
        array_metadata.create_all(self.connection)


class MySQLOutside(ServerOutside):
    """A MySQL or MariaDB database, seen through PyMySQL."""

    def open_transactions(self) -> list[str]:
        """Read InnoDB's own report: its table of transactions is a cache that may be stale."""
        threads = {line.partition(" ")[0]: line for line in self.sessions()}
        report = self.rows("SHOW ENGINE INNODB STATUS")[0][2]
        return [
            threads[found.group(1)]
            for part in report.split("---TRANSACTION ")[1:]
            if (found := re.search(r"\A.*, ACTIVE (?s:.*?) thread id (\d+)", part))
            and found.group(1) in threads
        ]

    def sessions(self) -> list[str]:
        found = self.rows(
            "SELECT id, command, info FROM information_schema.processlist "
            "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        return [f"{thread} {command}: {text}" for thread, command, text in found]

    def _settings(self) -> None:
        self.run("SET SESSION innodb_lock_wait_timeout = 5")
        self.run("SET SESSION lock_wait_timeout = 5")

    def _server_capabilities(self) -> Iterable[str]:
        yield from super()._server_capabilities()
        if "mariadb" in self.value("SELECT version()").lower():
            yield "insert_returning"
        if self.value("SELECT @@have_ssl") == "YES":
            yield "tls"

    def _create_suffix(self) -> str:
        return " CHARACTER SET utf8mb4"

    def _table_names(self) -> list[str]:
        return [
            name
            for (name,) in self.rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
                "AND table_type = 'BASE TABLE'"
            )
        ]


class SQLiteOutside(Outside):
    """A SQLite file, fresh for every test, copied from one with the tables in it."""

    def __init__(self, case: DriverCase, name: str, folder: pathlib.Path) -> None:
        super().__init__(case, name)
        self.template = folder / "template.db"
        self.path = folder / f"{name}.db"
        self._lock_wait = LOCK_WAIT
        self.capabilities = frozenset({"insert_returning"})

    def create(self) -> None:
        if not self.template.exists():
            engine = sa.create_engine(f"sqlite:///{self.template}", poolclass=NullPool)
            metadata.create_all(engine)
        shutil.copyfile(self.template, self.path)
        self.url = f"sqlite+aiosqlite:///{self.path}"
        engine = sa.create_engine(
            f"sqlite:///{self.path}",
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"timeout": 0},
        )
        self._connection = engine.connect()

    def drop(self) -> None:
        self.connection.close()
        for leftover in self.path.parent.glob(f"{self.path.name}*"):
            leftover.unlink()

    def open_transactions(self) -> list[str]:
        try:
            with self.at_once():
                self.run("BEGIN EXCLUSIVE")
        except sa.exc.OperationalError as error:
            return [str(error.orig)]
        self.run("ROLLBACK")
        return []

    def sessions(self) -> list[str]:
        """List the files of the database that others hold open: SQLite has no sessions."""
        # Opens the file. It does so, too, if somebody locks it.
        with contextlib.suppress(sa.exc.OperationalError), self.at_once():
            self.value("SELECT count(*) FROM sqlite_master")
        open_files = map(_target, pathlib.Path("/proc/self/fd").iterdir())
        return [target for target in open_files if target == str(self.path)][1:]

    def _execute(
        self, statement: sa.Executable | str, values: Values = None
    ) -> sa.CursorResult[Any]:
        """Run *statement*, again if others hold a lock; one that lasts is an error."""
        deadline = time.monotonic() + self._lock_wait
        while True:
            try:
                return super()._execute(statement, values)
            except sa.exc.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(0.005)


def make_outside(case: DriverCase, folder: pathlib.Path, number: int) -> Outside:
    """Make a fresh database for *case*; SQLite files go into *folder*."""
    if case.dialect == "sqlite":
        made: Outside = SQLiteOutside(case, f"test{number}", folder)
    elif case.dialect == "mysql":
        made = MySQLOutside(case, _name(case, number))
    else:
        made = PostgreSQLOutside(case, _name(case, number))
    made.create()
    return made


def _name(case: DriverCase, number: int) -> str:
    return f"databases_{case.name}_{os.getpid()}_{number}"


def _target(link: pathlib.Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
