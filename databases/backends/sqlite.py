"""SQLite over aiosqlite."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection, CommonTransaction
from databases.backends.common.cursors import EMPTY, CursorDriver, CursorStream
from databases.backends.common.driver import (
    Arguments,
    Fetched,
    Outcome,
    RawConnection,
    Stream,
    Value,
)
from databases.backends.common.option_tables import AIOSQLITE
from databases.backends.common.options import (
    PoolOptions,
    given_options,
    split_options,
    sqlite_filename,
)
from databases.backends.common.plans import Plan
from databases.backends.common.pool_faces import LegacyPool
from databases.backends.common.rawsql import SQLITE
from databases.backends.common.records import Record
from databases.backends.dialects.postgresql import read_isolation, refuse_unknown
from databases.backends.dialects.sqlite import make_dialect
from databases.errors import ConfigurationError
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["Record", "SQLiteBackend", "SQLiteConnection", "SQLitePool", "SQLiteTransaction"]

aiosqlite: Any = import_driver("aiosqlite")

KEPT = 5
"""Idle connections that are kept while connected."""
_MODES = ("deferred", "immediate", "exclusive")
_memory_names = itertools.count(1)


class SQLiteDriver(CursorDriver):
    """Whole functions on the connection's thread: one hop instead of three."""

    def accepts(self, name: str) -> bool:
        """Every argument of ``sqlite3.connect()`` is in the table."""
        return False

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open the file that *arguments* name."""
        given = {"isolation_level": None, **arguments}
        raw = aiosqlite.connect(**given)
        opened: list[sqlite3.Connection] = []
        connector = raw._connector

        def open_file() -> sqlite3.Connection:
            opened.append(connector())
            return opened[0]

        raw._connector = open_file
        try:
            return await raw
        except BaseException:
            # The thread may be about to open what nobody will ask for.
            _stop(raw, opened=opened)
            raise

    async def close(self, raw: RawConnection) -> None:
        """Close the connection and wait until its thread has done so."""
        # Not `raw.close()`: cancelled half way, it waits for a thread that has ended.
        closed = asyncio.get_running_loop().create_future()
        _stop(raw, closed)
        await closed

    def terminate(self, raw: RawConnection) -> None:
        """Stop what is running, close and end the thread."""
        self.interrupt(raw)
        _stop(raw)

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether it is open."""
        return raw._connection is not None and raw._running

    def in_transaction(self, raw: RawConnection) -> bool:
        """Ask SQLite."""
        return raw._connection is not None and raw._connection.in_transaction

    def can_recover(self, raw: RawConnection) -> bool:
        """An interrupted statement ends, and the thread goes on."""
        return self.is_usable(raw)

    def is_clean(self, error: BaseException) -> bool:
        """Errors leave the connection as it was."""
        return isinstance(error, Exception)

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool:
        """Some errors, such as a full disk, roll the whole transaction back."""
        return not self.in_transaction(raw)

    def interrupt(self, raw: RawConnection) -> None:
        """Stop the statement that is running in the thread."""
        if raw._connection is not None:
            raw._connection.interrupt()

    async def recover(self, raw: RawConnection) -> None:
        """Wait until the thread has done what it was given."""
        await raw._execute(bool)

    async def cancel(self, raw: RawConnection) -> None:
        """Stop and close."""
        self.terminate(raw)

    async def ping(self, raw: RawConnection) -> None:
        """There is nobody to ask."""

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row."""
        fetched: Fetched = await raw._execute(_fetch, raw._conn, sql, args or ())
        return fetched

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        fetched: Fetched = await raw._execute(_fetch_first, raw._conn, sql, args or ())
        return fetched

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; without arguments it may be a script."""
        outcome: Outcome = await raw._execute(
            _execute, raw._conn, sql, args or (), plan.returns_rows
        )
        return outcome

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row."""
        await raw._execute(_execute_many, raw._conn, sql, rows)

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        await raw._execute(_run, raw._conn, sql)

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Leave the rows in SQLite's cursor."""
        return CursorStream(await raw.execute(sql, args or ()), goes_on=True)

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin; *mode* tells when SQLite takes its locks."""
        await self.run(raw, _begin_statement(options))

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        await self.run(raw, "COMMIT")

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back, unless SQLite has done so."""
        await raw._execute(_roll_back, raw._conn)


def _begin_statement(options: Mapping[str, Any]) -> str:
    if not options:
        return "BEGIN"
    refuse_unknown(options, ("mode", "isolation"), "SQLite")
    isolation = read_isolation(options.get("isolation"))
    if isolation not in (None, "serializable"):
        raise ConfigurationError(
            f"cannot begin a transaction: SQLite has no isolation level {isolation!r}; "
            "its transactions are always serializable"
        )
    mode = str(options.get("mode") or "deferred").lower()
    if mode not in _MODES:
        raise ConfigurationError(
            f"cannot begin a transaction: {mode!r} is no mode; give one of {', '.join(_MODES)}"
        )
    return f"BEGIN {mode.upper()}"


# What runs on the thread.


def _names(cursor: sqlite3.Cursor) -> tuple[str, ...]:
    return tuple([column[0] for column in cursor.description])


def _fetch(connection: sqlite3.Connection, sql: str, args: Any) -> Fetched:
    cursor = connection.execute(sql, args)
    if cursor.description is None:
        return EMPTY
    return Fetched(_names(cursor), cursor.fetchall())


def _fetch_first(connection: sqlite3.Connection, sql: str, args: Any) -> Fetched:
    cursor = connection.execute(sql, args)
    if cursor.description is None:
        return EMPTY
    row = cursor.fetchone()
    found = EMPTY if row is None else Fetched(_names(cursor), (row,))
    cursor.close()  # an unfinished SELECT would keep its lock
    return found


def _execute(connection: sqlite3.Connection, sql: str, args: Any, returns_rows: bool) -> Outcome:
    try:
        cursor = connection.execute(sql, args)
    except (sqlite3.ProgrammingError, sqlite3.Warning) as error:
        if args or "one statement" not in str(error):
            raise
        for statement in _statements(sql):
            cursor = connection.execute(statement)
    row, names = None, ()
    if returns_rows and cursor.description is not None:
        row, names = cursor.fetchone(), _names(cursor)
        if row is not None and not sql.lstrip()[:6].lower().startswith("select"):
            cursor.fetchall()  # RETURNING acts on every row
        elif row is not None:
            row = None  # of a SELECT, `execute` tells the row count alone
    outcome = Outcome(row, names, cursor.rowcount, cursor.lastrowid)
    cursor.close()
    return outcome


def _execute_many(connection: sqlite3.Connection, sql: str, rows: Any) -> None:
    connection.executemany(sql, rows).close()


def _run(connection: sqlite3.Connection, sql: str) -> None:
    connection.execute(sql).close()


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK").close()


def _statements(script: str) -> list[str]:
    """Return the statements of *script*, cut where SQLite says one is complete."""
    statements: list[str] = []
    start = 0
    for end, character in enumerate(script, 1):
        if character == ";" and sqlite3.complete_statement(script[start:end]):
            statements.append(script[start:end])
            start = end
    return [*statements, script[start:]] if script[start:].strip() else statements


class _Ending:
    """What the thread reports its end to; the event loop may be gone by then."""

    def __init__(self, closed: asyncio.Future[None] | None) -> None:
        self._closed = closed

    def get_loop(self) -> _Ending:
        return self

    def call_soon_threadsafe(self, *call: object) -> None:
        if self._closed is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._closed.get_loop().call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


def _stop(
    raw: RawConnection,
    closed: asyncio.Future[None] | None = None,
    *,
    opened: Sequence[sqlite3.Connection] = (),
) -> None:
    """Close *raw* and end its thread once it has done what it was given.

    *opened* will hold what the thread opens before it gets there.
    """
    connection, raw._connection = raw._connection, None
    ending = _Ending(closed)
    if not raw._running and connection is None:
        ending.call_soon_threadsafe()
        return
    raw._running = False
    sentinel: Any = aiosqlite.core._STOP_RUNNING_SENTINEL

    def close() -> Any:
        for each in (connection, *opened):
            if each is not None:
                each.close()
        return sentinel

    raw._tx.put_nowait((ending, close))
    if hasattr(raw, "_stop_running"):  # aiosqlite before 0.22
        raw._tx.put_nowait(sentinel)


class SQLitePool(LegacyPool):
    """Connections to one SQLite database.

    While the backend is connected idle ones are kept; otherwise each lives as
    long as its loan.
    """

    def __init__(self, url: DatabaseURL | str, **options: Any) -> None:
        self._url = DatabaseURL(url)
        self._given = options
        given = given_options(self._url, options, AIOSQLITE)
        pool_options, self._arguments = split_options(given, AIOSQLITE, SQLITE_DRIVER.accepts)
        self._filename = sqlite_filename(self._url, given, AIOSQLITE)
        self._set_up(pool_options)

    def _set_up(self, options: PoolOptions) -> None:
        self._anchor: sqlite3.Connection | None = None
        super().__init__(SQLITE_DRIVER, self._open_file, options, keeps=0)
        # A subclass or program that replaced them is asked for each loan.
        cls = type(self)
        self.lends_slots = cls.acquire is _ACQUIRE and cls.release is _RELEASE

    def fresh(self) -> SQLitePool:
        """Return a pool like this one that nobody has used."""
        pool = SQLitePool.__new__(SQLitePool)
        pool._url, pool._given, pool._filename = self._url, self._given, self._filename
        pool._arguments = dict(self._arguments)
        pool._set_up(self._options)
        return pool

    async def open(self) -> None:
        """Keep idle connections, and a database in memory, from now on."""
        is_memory = self._filename in ("", ":memory:")
        is_uri = bool(self._arguments.get("uri")) and self._filename.startswith("file:")
        if is_memory:
            # All connections of this pool, and no others, share the name.
            self._filename = f"file:/databases-{next(_memory_names)}-{id(self)}?vfs=memdb"
            self._arguments["uri"] = is_uri = True
        in_memory = ":memory:" in self._filename or "mode=memory" in self._filename
        is_shared = "cache=shared" in self._filename
        if is_memory or (is_uri and in_memory and is_shared):
            self._anchor = sqlite3.connect(
                self._filename, uri=True, check_same_thread=False, isolation_level=None
            )
        if is_memory or not in_memory or is_shared:
            self._keeps = KEPT
            await self.start()

    async def shut_down(self, timeout: float | None = None) -> None:
        """Close every connection; see `Pool.shut_down`."""
        await super().shut_down(timeout)
        if self._anchor is not None:
            self._anchor.close()

    async def acquire(self) -> RawConnection:
        """Lend an aiosqlite connection."""
        return await self.lend_raw()

    async def release(self, connection: RawConnection) -> None:
        """Take *connection* back."""
        await self.take_back_raw(connection)

    async def _open_file(self) -> RawConnection:
        arguments = {"database": self._filename, **self._arguments}
        return await SQLITE_DRIVER.connect(self._url, arguments)


SQLITE_DRIVER = SQLiteDriver()
_ACQUIRE: Callable[..., Any] = SQLitePool.acquire
_RELEASE: Callable[..., Any] = SQLitePool.release


class SQLiteBackend(CommonBackend):
    """SQLite over aiosqlite; queries work without `connect` too."""

    driver = SQLITE_DRIVER
    option_table = AIOSQLITE

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        super().__init__(database_url, **options)
        # Serves queries without connect(); while connected another one like it does.
        self._idle_pool = SQLitePool(self._database_url, **self._options)
        self._own_pool = self._pool = self._idle_pool

    def _get_dialect(self) -> Dialect:
        return make_dialect()

    async def connect(self) -> None:
        """Open a first connection, so that a file that cannot be opened fails here."""
        if self._pool is not self._own_pool:
            return
        if self._own_pool._given != self._options or self._own_pool._url != self._database_url:
            self._own_pool = SQLitePool(self._database_url, **self._options)
        self._idle_pool = self._own_pool
        self._own_pool = self._pool = self._idle_pool.fresh()
        try:
            await self._own_pool.open()
        except BaseException:
            self._own_pool = self._pool = self._idle_pool
            raise

    async def disconnect(self, timeout: float | None = None) -> None:
        """Close every connection, also those that an assigned pool is still closing."""
        pool, assigned = self._own_pool, self._pool
        self._own_pool = self._idle_pool
        if assigned is pool:
            self._pool = self._own_pool
        elif isinstance(assigned, SQLitePool):
            await assigned.finish(timeout)
        await pool.shut_down(timeout)

    def connection(self) -> SQLiteConnection:
        """Return a connection that is not acquired yet."""
        return SQLiteConnection(self._pool, self._dialect)


class SQLiteConnection(CommonConnection):
    """A connection of aiosqlite."""

    driver = SQLITE_DRIVER
    style = "qmark"
    syntax = SQLITE

    def __init__(self, pool: Any, dialect: Dialect) -> None:
        super().__init__(pool, dialect)
        self._pool = pool

    async def acquire(self) -> None:
        """Take a raw connection from the pool."""
        await super().acquire()

    def _get_pool(self) -> Any:
        return self._pool

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return SQLiteTransaction(self)


class SQLiteTransaction(CommonTransaction):
    """A transaction or savepoint of SQLite."""

    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:
        """Begin; *extra_options* may hold ``mode``."""
        await super().start(is_root, extra_options)


SQLiteBackend.connection_class = SQLiteConnection
