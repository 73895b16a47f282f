"""SQLite over aiosqlite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection, statements_of
from databases.backends.common.cursors import CursorDriver
from databases.backends.common.driver import (
    Arguments,
    Called,
    Fetched,
    Outcome,
    RawConnection,
    Stream,
    Value,
)
from databases.backends.common.kinds import Kind, kind_of
from databases.backends.common.option_tables import AIOSQLITE
from databases.backends.common.options import (
    PoolOptions,
    given_options,
    split_options,
    sqlite_filename,
)
from databases.backends.common.plans import Plan
from databases.backends.common.rawsql import SQLITE
from databases.backends.common.records import Record
from databases.backends.common.slots import Slot
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects import loans, threads
from databases.backends.dialects import sqlite as dialect
from databases.backends.dialects.elsewhere import PoolForAnyLoop
from databases.backends.dialects.threads import hop, late_hop, send, watched_hop
from databases.backends.dialects.writing import (
    WritingTurn,
    begin_turn,
    end_turn,
    is_deferred_begin,
    is_setting,
)
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["Record", "SQLiteBackend", "SQLiteConnection", "SQLitePool", "SQLiteTransaction"]

aiosqlite: Any = import_driver("aiosqlite")

ENOUGH = 10
"""Connections, each with a thread, beyond which tasks wait a moment for one of them."""
KEPT = 5
"""Idle connections that are kept while connected."""
INSIST_AFTER, INSISTENCES = 0.02, 50
"""Seconds between interrupts of a statement that was given up, and how many."""


class SQLiteDriver(CursorDriver):
    """Whole functions on the connection's thread: one hop instead of three."""

    errors = sqlite3

    def accepts(self, name: str) -> bool:
        """Every argument of ``sqlite3.connect()`` is in the table."""
        return False

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open the file that *arguments* name."""
        given = {"isolation_level": None, **arguments}
        turn = given.pop("turn", None)
        pragmas = given.pop("pragmas", {})
        raw = aiosqlite.connect(**given)
        opened: list[sqlite3.Connection] = []

        def open_file() -> None:
            opened.append(raw._connector())
            for name, value in pragmas.items():
                dialect.run(opened[0], f"PRAGMA {name} = {value}")
            raw.has_moved = loans.watch(opened[0])

        raw.turn = turn
        raw.is_fresh = False  # true in a transaction that holds no lock yet
        raw.may_stream = False  # true from a stream's beginning until a transaction's
        threads.start(raw)
        try:
            await hop(raw, open_file)
        except BaseException:
            # The thread may be about to open what nobody will ask for.
            threads.stop(raw, opened=opened)
            raise
        raw._connection = opened[0]
        return raw

    async def close(self, raw: RawConnection) -> None:
        """Close the connection and wait until its thread has done so."""
        # Not `raw.close()`: cancelled half way, it waits for a thread that has ended.
        closed = asyncio.get_running_loop().create_future()
        threads.stop(raw, closed)
        await closed

    def terminate(self, raw: RawConnection) -> None:
        """Stop what is running, close and end the thread."""
        self.interrupt(raw)
        threads.stop(raw)
        end_turn(raw)

    def news(self, raw: RawConnection) -> Callable[[int], Any]:
        """Look whether its file is still there."""
        return raw.has_moved  # type: ignore[no-any-return]

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether it is open."""
        return raw._connection is not None and raw._running

    def in_transaction(self, raw: RawConnection) -> bool:
        """Ask SQLite."""
        if raw._connection is None:
            return False
        return raw._connection.in_transaction or threads.is_about_to_begin(raw)

    def can_recover(self, raw: RawConnection) -> bool:
        """Say yes while it is open: an interrupted statement ends, and the thread goes on."""
        return self.is_usable(raw)

    def is_clean(self, error: BaseException) -> bool:
        """Errors leave the connection as it was."""
        return isinstance(error, Exception)

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool:
        """Ask SQLite: some errors, such as a full disk, end the whole transaction."""
        return not self.in_transaction(raw)

    def interrupt(self, raw: RawConnection) -> None:
        """Stop the statement that is running in the thread."""
        if raw._connection is not None:
            raw._connection.interrupt()

    async def recover(self, raw: RawConnection) -> None:
        """Wait until the thread has done what it was given, and insist that it stops.

        Raises ``TimeoutError`` where it waits for the lock of another process.
        """
        loans.put_state_back(raw)  # a connection that was forgotten comes back this way
        done = send(raw, bool)
        for _ in range(INSISTENCES):
            if (await asyncio.wait({done}, timeout=INSIST_AFTER))[0]:
                break
            self.interrupt(raw)  # the first time, the statement had perhaps not begun
        else:
            raise TimeoutError("cannot go on: SQLite waits for a lock")
        await done
        end_turn(raw)

    async def reset(self, raw: RawConnection) -> None:
        """Forget what was attached, and temporary tables."""
        loans.end_session(raw)

    async def cancel(self, raw: RawConnection) -> None:
        """Stop and close."""
        self.terminate(raw)

    async def ping(self, raw: RawConnection) -> None:
        """Raise where its file is not the one at its place any more."""
        if raw.has_moved(0):
            raise sqlite3.OperationalError("the file was removed or replaced")

    # What is awaited is the thread's own future, with no coroutine in between.

    def fetch(  # type: ignore[override]  # awaited all the same
        self, raw: RawConnection, sql: str, args: Arguments
    ) -> Awaitable[Fetched]:
        """Run *sql* and read every row."""
        raw.is_fresh = False
        if sql[:1] in "Pp" and is_setting(sql):
            return watched_hop(raw, dialect.assign, raw._conn, sql)
        return hop(raw, dialect.fetch, raw._conn, sql, args or ())

    def fetch_first(  # type: ignore[override]  # awaited all the same
        self, raw: RawConnection, sql: str, args: Arguments
    ) -> Awaitable[Fetched]:
        """Run *sql* and read its first row."""
        raw.is_fresh = False
        if sql[:1] in "Pp" and is_setting(sql):
            return watched_hop(raw, dialect.assign, raw._conn, sql)
        return hop(raw, dialect.fetch_first, raw._conn, sql, args or ())

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; without arguments it may be a script."""
        await begin_turn(raw, sql, plan.kind)
        run: Callable[..., Outcome] = dialect.execute
        if getattr(raw, "may_stream", False):
            run = partial(run, may_stream=True)
        try:
            outcome: Outcome = await watched_hop(raw, run, raw._conn, sql, args or (), plan)
        finally:
            end_turn(raw)
        if plan.kind is Kind.OTHER:
            raw.is_fresh = is_deferred_begin(sql)
        return outcome

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql* and tell everything about its result."""
        await begin_turn(raw, sql, kind_of(sql))
        run = partial(dialect.call, may_stream=getattr(raw, "may_stream", False))
        try:
            called: Called = await hop(raw, run, raw._conn, sql, args)
        finally:
            end_turn(raw)
        return called

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row."""
        await begin_turn(raw)
        try:
            await hop(raw, dialect.execute_many, raw._conn, sql, rows)
        finally:
            end_turn(raw)

    def run(  # type: ignore[override]  # awaited all the same
        self, raw: RawConnection, sql: str
    ) -> Awaitable[None]:
        """Run a statement that has neither parameters nor rows."""
        return late_hop(raw, dialect.run, raw._conn, sql)

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Leave the rows in SQLite's cursor."""
        raw.is_fresh = False
        raw.may_stream = True
        return await dialect.RowStream.open(raw, sql, args or ())

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each."""
        return dialect.strengths(options)

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin; *mode* tells when SQLite takes its locks."""
        statement = dialect.begin_statement(options)
        is_deferred = statement in ("BEGIN", "BEGIN DEFERRED")
        may_stream = getattr(raw, "may_stream", False)
        begin = partial(dialect.begin, raw._conn, statement, may_stream=may_stream)
        raw.may_stream = False
        # It takes no lock yet and has nothing to tell: the thread does it with
        # what comes next, which will tell if it failed after all.
        is_ours = not threads.may_hold_cursors(raw) and not self.in_transaction(raw)
        if is_deferred and is_ours and threads.begin_with_next(raw, begin):
            raw.is_fresh = True
            return
        if not is_deferred:
            await begin_turn(raw)
        try:
            await late_hop(raw, begin)
        finally:
            raw.is_fresh = is_deferred
            end_turn(raw)

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        await self.run(raw, "COMMIT")
        end_turn(raw)

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back, unless SQLite has done so."""
        await hop(raw, dialect.roll_back, raw._conn)
        end_turn(raw)


class SQLitePool(PoolForAnyLoop):
    """Connections to one SQLite database; idle ones are kept while the backend is connected."""

    def __init__(self, url: DatabaseURL | str, **options: Any) -> None:
        self._url = DatabaseURL(url)
        self._given = options
        given = given_options(self._url, options, AIOSQLITE)
        pool_options, self._arguments = split_options(given, AIOSQLITE, SQLITE_DRIVER.accepts)
        dialect.read_arguments(self._arguments)
        self._filename = sqlite_filename(self._url, given, AIOSQLITE)
        self._set_up(pool_options)

    def _set_up(self, options: PoolOptions) -> None:
        self._anchor: sqlite3.Connection | None = None
        self._turn: WritingTurn | None = None
        super().__init__(SQLITE_DRIVER, self._open_file, options, keeps=0, enough=ENOUGH)
        # A subclass or program that replaced them is asked for each loan.
        cls = type(self)
        self._is_original = (cls.acquire, cls.release) == _ORIGINALS

    def fresh(self) -> SQLitePool:
        """Return a pool like this one that nobody has used."""
        pool = SQLitePool.__new__(SQLitePool)
        pool._url, pool._given, pool._filename = self._url, self._given, self._filename
        pool._arguments = dict(self._arguments)
        pool._set_up(self._options)
        return pool

    async def open(self) -> None:
        """Keep idle connections, and a database in memory, from now on."""
        place = dialect.find_place(self._filename, is_uri=bool(self._arguments.get("uri")))
        self._filename, self._arguments["uri"] = place.filename, place.is_uri
        self._anchor = place.hold()
        if place.is_shared:
            self._keeps = KEPT
            self._turn = WritingTurn.of(self._arguments)
            await self.start()

    async def shut_down(self, timeout: float | None = None) -> None:
        """Close every connection; see `Pool.shut_down`."""
        await super().shut_down(timeout)
        if self._anchor is not None:
            self._anchor.close()

    def take_back(self, slot: Slot) -> asyncio.Task[Any] | None:
        """Take *slot* back; see `Pool.take_back`."""
        if slot.changed:
            loans.take_back(slot.raw)
        return super().take_back(slot)

    async def acquire(self) -> RawConnection:
        """Lend an aiosqlite connection."""
        raw = await self.lend_raw()
        loans.lend(raw)
        return raw

    async def release(self, connection: RawConnection) -> None:
        """Take *connection* back."""
        await self.take_back_raw(connection)

    async def _open_file(self) -> RawConnection:
        arguments = {"database": self._filename, "turn": self._turn, **self._arguments}
        raw = await SQLITE_DRIVER.connect(self._url, arguments)
        raw.is_prepared = bool(self._options.init or self._options.on_connect)
        return raw


SQLITE_DRIVER = SQLiteDriver()
_ORIGINALS: tuple[Any, Any] = (SQLitePool.acquire, SQLitePool.release)


class SQLiteBackend(CommonBackend):
    """SQLite over aiosqlite; queries work without `connect` too."""

    driver = SQLITE_DRIVER
    option_table = AIOSQLITE

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        super().__init__(database_url, **options)
        # Serves queries without connect(); while connected another one like it does.
        self._idle_pool = SQLitePool(self._database_url, **self._options)
        self._own_pool = self._pool = self._idle_pool
        self._own_pool.opened = self._opened

    def _get_dialect(self) -> Dialect:
        return dialect.make_dialect()

    async def connect(self) -> None:
        """Open a first connection, so that a file that cannot be opened fails here."""
        if self._pool is not self._own_pool or self._own_pool.is_patched:
            return  # a program lends them
        if self._own_pool._given != self._options or self._own_pool._url != self._database_url:
            self._own_pool = SQLitePool(self._database_url, **self._options)
        self._idle_pool = self._own_pool
        self._own_pool = self._pool = self._idle_pool.fresh()
        self._own_pool.opened = self._opened
        statements_of(self._dialect, self.connection_class).resize(
            self._own_pool._options.query_cache_size
        )
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
        # The idle one serves on, without connect().
        await (pool.finish if pool is self._idle_pool else pool.shut_down)(timeout)

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
        self._changes = -1

    async def acquire(self) -> None:
        """Take a raw connection from the pool."""
        await super().acquire()

    async def _take(self) -> None:
        await super()._take()
        if self._has_pool_slot:
            self._changes = loans.changes_of(self._connection)
            if type(self).execute is not CommonConnection.execute:
                loans.forget_rows(self._connection)

    def _get_pool(self) -> Any:
        return self._pool

    @property
    def raw_connection(self) -> Any:
        """The connection of aiosqlite; what is set on it ends with the loan."""
        raw = super().raw_connection
        threads.begin_now(raw)
        if self._has_pool_slot:
            loans.lend(raw, since=self._changes)
        return raw

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return SQLiteTransaction(self)


class SQLiteTransaction(CommonTransaction):
    """A transaction or savepoint of SQLite."""

    async def start(  # the signature is interfaces.TransactionBackend's
        self,
        is_root: bool,  # noqa: FBT001
        extra_options: dict[Any, Any],
    ) -> None:
        """Begin; *extra_options* may hold ``mode``."""
        await super().start(is_root, extra_options)


SQLiteTransaction.own_start = SQLiteTransaction.start
SQLiteBackend.make_of(SQLiteConnection)
