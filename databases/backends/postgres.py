"""PostgreSQL over asyncpg."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.cleaning import close_socket
from databases.backends.common.driver import (
    Arguments,
    Called,
    Fetched,
    Outcome,
    RawConnection,
    Stream,
    Value,
    takes,
    with_password,
)
from databases.backends.common.kinds import Kind, is_empty, kind_of
from databases.backends.common.option_tables import ASYNCPG
from databases.backends.common.plans import BoundStatement, Plan
from databases.backends.common.pool_faces import AsyncpgPool
from databases.backends.common.rawsql import POSTGRESQL
from databases.backends.common.records import Record
from databases.backends.common.slots import socket_news
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects.postgresql import (
    RESET_ROLES,
    check_commit,
    make_dialect,
    read_options,
    strengths,
)
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["PostgresBackend", "PostgresConnection", "PostgresTransaction", "Record"]

asyncpg: Any = import_driver("asyncpg")

_PROXY = asyncpg.pool.PoolConnectionProxy
_NOT_SENT = "cannot switch to state"
_CHAR = 18
"""The number of PostgreSQL's type "char", which its catalogs use."""
# Only these say for certain how many rows they touched.
_COUNTED = ("INSERT", "UPDATE", "DELETE", "MERGE")


class _Errors:
    """asyncpg's exceptions, by PEP 249's names."""

    Error = (asyncpg.PostgresError, asyncpg.InterfaceError)
    InterfaceError = asyncpg.InterfaceError
    DatabaseError = OperationalError = ProgrammingError = asyncpg.PostgresError


class AsyncpgDriver:
    """asyncpg's connections as they are, without asyncpg's pool."""

    streams_in_transaction = True
    interleaves = True
    bulk_is_atomic = True
    forgets_session = True
    errors = _Errors

    def accepts(self, name: str) -> bool:
        """Look at the arguments of ``asyncpg.connect()``."""
        return takes(asyncpg.connect, name)

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection; asyncpg tries several hosts in their order."""
        given: dict[str, Any] = {}
        if url.hosts:
            given["host"] = [host for host, _ in url.hosts]
            given["port"] = [port or 5432 for _, port in url.hosts]
        elif url.hostname:
            given["host"] = url.hostname
        if url.port and "port" not in given:
            given["port"] = url.port
        if url.username is not None:
            given["user"] = url.username
        if url.password is not None:
            given["password"] = url.password
        if url.database:
            given["database"] = url.database
        raw = await asyncpg.connect(**{**given, **await with_password(arguments)})
        # Its name in asyncpg 0.29 begins with an underscore.
        ask = getattr(raw, "get_reset_query", None) or raw._get_reset_query
        if "RESET ALL" in (query := ask()):
            raw._reset_query = query + RESET_ROLES
        return raw

    async def close(self, raw: RawConnection) -> None:
        """Say goodbye and close, after the cancel requests on their way."""
        if raw._cancellations:
            await asyncio.wait(set(raw._cancellations))
        await raw.close()

    def terminate(self, raw: RawConnection) -> None:
        """Close the socket."""
        if not raw._loop.is_closed():
            raw.terminate()
            return
        with contextlib.suppress(RuntimeError):  # it would tell tasks of that loop
            raw.terminate()
        close_socket(raw._transport)

    def news(self, raw: RawConnection) -> Callable[[int], Any]:
        """Look at the socket."""
        return socket_news(raw._transport.get_extra_info("socket").fileno())

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether the socket is open."""
        return not raw.is_closed()

    def in_transaction(self, raw: RawConnection) -> bool:
        """Read the state that came with the server's last answer."""
        return bool(raw.is_in_transaction())

    def can_recover(self, raw: RawConnection) -> bool:
        """Asyncpg cancels on the server and waits for it before the next statement."""
        return not raw.is_closed()

    def is_clean(self, error: BaseException) -> bool:
        """Errors leave asyncpg's protocol in step; time-outs cancel, as cancellation does."""
        return isinstance(error, Exception) and not isinstance(error, (TimeoutError, OSError))

    def is_unsent(self, error: BaseException) -> bool:
        """Say yes where asyncpg has read the server's last words, and not yet the end.

        It tells nobody but whoever comes next, before anything is sent.
        """
        # asyncpg sends a statement that is out of date again itself, but not for a cursor.
        is_stale = isinstance(error, asyncpg.InvalidCachedStatementError)
        is_late = isinstance(error, asyncpg.InternalClientError)
        return is_stale or (is_late and str(error).startswith(_NOT_SENT))

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool:
        """Say no: a failed statement leaves it open, though only undoing it works."""
        return False

    def interrupt(self, raw: RawConnection) -> None:
        """Asyncpg has done so itself."""

    async def recover(self, raw: RawConnection) -> None:
        """Wait for the cancelled statement, as every next one does."""
        # In a transaction the server refuses, which is an answer as well.
        with contextlib.suppress(asyncpg.InFailedSQLTransactionError):
            await raw.execute("SELECT 1")

    async def cancel(self, raw: RawConnection) -> None:
        """Ask the server to stop the statement, as asyncpg does for a cancelled task."""
        asked = asyncio.get_running_loop().create_future()
        try:
            if not raw._loop.is_closed():  # its tasks run there
                raw._cancel_current_command(asked)
                await asked
        finally:
            self.terminate(raw)

    async def ping(self, raw: RawConnection) -> None:
        """Ask the server for a sign of life."""
        await raw.execute("SELECT 1")

    async def reset(self, raw: RawConnection) -> None:
        """Forget settings, listeners, advisory locks and cursors."""
        _own(raw)._top_xact = None
        await raw.reset()

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row."""
        rows = await (raw.fetch(sql, *args) if args else raw.fetch(sql))
        return Fetched(tuple(rows[0].keys()) if rows else (), rows)

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        row = await (raw.fetchrow(sql, *args) if args else raw.fetchrow(sql))
        return Fetched((), ()) if row is None else Fetched(tuple(row.keys()), (row,))

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; without arguments it may be a script."""
        if plan.returns_rows:
            names, rows = await self.fetch_first(raw, sql, args)
            return Outcome(rows[0] if rows else None, names)
        if plan.kind is Kind.OTHER and is_empty(sql):
            return Outcome()  # asyncpg would stumble over the answer
        status: str = await (raw.execute(sql, *args) if args else raw.execute(sql))
        words = status.split()
        if words and words[0] in _COUNTED and words[-1].isdigit():
            return Outcome(row_count=int(words[-1]))
        return Outcome()

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql* and tell everything about its result."""
        if is_empty(sql):
            return Called(None, ())  # asyncpg would stumble over the answer
        if not args and ";" in sql.rstrip().rstrip(";") and kind_of(sql) is not Kind.SELECT:
            await raw.execute(sql)  # a script, which cannot be prepared
            return Called(None, ())
        statement = await raw.prepare(sql)
        kinds = statement.get_parameters() if args else ()
        rows = await statement.fetch(*map(_as_char, args, kinds))
        names = [attribute.name for attribute in statement.get_attributes()]
        words = statement.get_statusmsg().split()
        count = int(words[-1]) if words and words[-1].isdigit() else None
        return Called(names or None, [tuple(row) for row in rows], count)

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row, pipelined."""
        await raw.executemany(sql, rows)

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Open a portal, which the surrounding transaction keeps."""
        return _PortalStream(await raw.cursor(sql, *(args or ())))

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each."""
        return strengths(options)

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin by asyncpg's own transaction, so that ``raw.transaction()`` nests in it."""
        isolation, readonly, deferrable = read_options(options)
        try:
            await raw.transaction(
                isolation=isolation, readonly=readonly, deferrable=deferrable
            ).start()
        except BaseException:
            _own(raw)._top_xact = None  # or else every later one would be a savepoint
            raise

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        _own(raw)._top_xact = None
        check_commit(await raw.execute("COMMIT"))

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back."""
        _own(raw)._top_xact = None
        await raw.execute("ROLLBACK")

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        if sql == "ROLLBACK":
            _own(raw)._top_xact = None
        await raw.execute(sql)


def _own(raw: RawConnection) -> Any:
    # A pool of asyncpg's own lends proxies, which cannot be written to.
    return raw._con if isinstance(raw, _PROXY) else raw


def _as_char(value: Value, kind: Any) -> Value:
    """Return *value* as asyncpg wants it for PostgreSQL's one-byte type, bytes."""
    is_char = kind.oid == _CHAR and isinstance(value, str)
    return (value.encode() or b"\0") if is_char else value


class _PortalStream:
    """Rows of an open portal."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.names: Sequence[str] = ()

    async def fetch(self, size: int) -> Sequence[Sequence[Value]]:
        """Return the next rows; none at the end."""
        rows: Sequence[Any] = await self._cursor.fetch(size)
        if rows and not self.names:
            self.names = tuple(rows[0].keys())
        return rows

    def abandon(self) -> bool:
        """Leave the portal to the end of the transaction."""
        return True


class PostgresBackend(CommonBackend):
    """PostgreSQL over asyncpg."""

    driver = AsyncpgDriver()
    option_table = ASYNCPG
    pool_class = AsyncpgPool

    def _get_dialect(self) -> Dialect:
        return make_dialect(decodes_json=False)

    def connection(self) -> PostgresConnection:
        """Return a connection that is not acquired yet."""
        return PostgresConnection(self, self._dialect)


class PostgresConnection(CommonConnection):
    """A connection of asyncpg."""

    driver = PostgresBackend.driver
    style = "numeric_dollar"
    syntax = POSTGRESQL
    selects_value = True

    async def acquire(self) -> None:
        """Take a raw connection from the pool, waiting for one if need be."""
        await super().acquire()

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return PostgresTransaction(self)

    def _inserted_key(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return bound.key if outcome.row_count else None

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return None


class PostgresTransaction(CommonTransaction):
    """A transaction or savepoint of asyncpg."""


PostgresBackend.make_of(PostgresConnection)
