"""PostgreSQL over aiopg (psycopg2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.cursors import EMPTY, CursorDriver, Peer, heeding, names_of
from databases.backends.common.driver import (
    Arguments,
    Called,
    Fetched,
    Outcome,
    RawConnection,
    Stream,
    Value,
    with_password,
)
from databases.backends.common.kinds import Kind, is_declarable
from databases.backends.common.option_tables import AIOPG
from databases.backends.common.plans import BoundStatement, Plan
from databases.backends.common.pool_faces import AioPool
from databases.backends.common.rawsql import POSTGRESQL
from databases.backends.common.records import Record
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects.postgresql import (
    RESET,
    DeclaredStream,
    begin_statement,
    check_commit,
    libpq_arguments,
    make_dialect,
    strengths,
)
from databases.backends.dialects.sockets import AttentiveConnection, executed
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.limits import limited
from databases.urls import DatabaseURL

__all__ = ["AiopgBackend", "AiopgConnection", "AiopgTransaction", "Record"]

psycopg2: Any = import_driver("psycopg2", extra="aiopg")

_PAGE = 200
"""Statements that one message of `AiopgDriver.execute_many` holds."""


class AiopgDriver(CursorDriver):
    """aiopg's connections, which psycopg2 keeps in autocommit."""

    errors = psycopg2
    streams_in_transaction = True
    forgets_session = True

    def accepts(self, name: str) -> bool:
        """Ask libpq."""
        try:
            psycopg2.extensions.make_dsn(**{name: "1"})
        except psycopg2.ProgrammingError:
            return False
        return True

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection and note how to cancel what it runs."""
        raw = await self._opened(url, arguments)
        self._peers[raw] = Peer(url, arguments, raw.raw.get_backend_pid())
        return raw

    async def _opened(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        given = {"timeout": 60.0, **libpq_arguments(url), **await with_password(arguments)}
        raw = AttentiveConnection(given.pop("dsn", None) or "", given.pop("timeout"), **given)
        # libpq itself has no eye on the time where it does not wait.
        seconds = int(given.get("connect_timeout") or 0) or None
        try:
            async with limited(seconds):
                return await heeding(raw)
        except BaseException as error:
            self.terminate(raw)
            if seconds and isinstance(error, TimeoutError):
                raise psycopg2.OperationalError(
                    f"cannot connect: the server has not answered within {seconds} s"
                ) from error
            raise

    async def close(self, raw: RawConnection) -> None:
        """Close."""
        self.terminate(raw)

    def terminate(self, raw: RawConnection) -> None:
        """Close; psycopg2 does not wait for the server."""
        waiter = raw._waiter
        raw.close()
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()  # told to whoever waited, if anybody did

    def fileno(self, raw: RawConnection) -> int:
        """Return the file descriptor of the socket."""
        return int(raw.raw.fileno())

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether it is open as far as psycopg2 knows: it may have read the last words."""
        if raw.closed or raw._fileno is None:
            return False
        notices = raw.raw.notices
        return not (notices and notices[-1].startswith("FATAL"))

    def in_transaction(self, raw: RawConnection) -> bool:
        """Ask libpq: active, in a transaction, or in a failed one."""
        return not raw.closed and raw.raw.info.transaction_status in (1, 2, 3)

    def is_clean(self, error: BaseException) -> bool:
        """Trust all but a time-out, which closes the connection as a cancellation does."""
        return isinstance(error, Exception) and not isinstance(
            error, (TimeoutError, asyncio.TimeoutError, OSError)
        )

    async def cancel(self, raw: RawConnection) -> None:
        """Stop the statement over a short-lived connection: ours is closed already."""
        peer = self._peers.get(raw)
        self.terminate(raw)
        if peer is None:
            return
        other = await self._opened(peer.url, peer.arguments)
        try:
            await self.run(other, f"SELECT pg_terminate_backend({int(peer.server_id)})")
        finally:
            self.terminate(other)

    async def reset(self, raw: RawConnection) -> None:
        """Forget settings, listeners, advisory locks and cursors."""
        await self.run(raw, RESET)

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row."""
        cursor = await executed(raw, sql, args)
        if cursor.description is None:
            return EMPTY
        return Fetched(names_of(cursor), cursor.fetchall())

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        cursor = await executed(raw, sql, args)
        row = None if cursor.description is None else cursor.fetchone()
        return EMPTY if row is None else Fetched(names_of(cursor), (row,))

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; read its first row where it may have one."""
        cursor = await executed(raw, sql, args)
        if not plan.returns_rows or cursor.description is None:
            return Outcome(None, (), cursor.rowcount)
        return Outcome(cursor.fetchone(), names_of(cursor), cursor.rowcount)

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql*, in which ``%`` is written twice, and tell everything about its result."""
        # Without arguments as it is: it may be a script, and is nobody's template.
        cursor = await executed(raw, sql if args else sql.replace("%%", "%"), args or None)
        if cursor.description is None:
            return Called(None, (), cursor.rowcount)
        return Called(names_of(cursor), cursor.fetchall(), cursor.rowcount)

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Send many statements in one message: psycopg2 has no bulk call here."""
        mogrify = raw.raw.cursor().mogrify
        for start in range(0, len(rows), _PAGE):
            page = [mogrify(sql, row or None) for row in rows[start : start + _PAGE]]
            await executed(raw, b";".join(page))

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        await executed(raw, sql)

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Declare a cursor on the server; only queries can have one."""
        if is_declarable(sql):
            stream = DeclaredStream(self, raw)
            await stream.declare(sql, args)
            return stream
        return _Spooled(await executed(raw, sql, args))

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each."""
        return strengths(options)

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin."""
        await self.run(raw, begin_statement(options))

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        check_commit((await executed(raw, "COMMIT")).statusmessage)

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back."""
        await self.run(raw, "ROLLBACK")


class _Spooled:
    """The rows of a statement that is no query: psycopg2 has read them all."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.names: Sequence[str] = () if cursor.description is None else names_of(cursor)

    async def fetch(self, size: int) -> Sequence[Sequence[Value]]:
        """Return the next rows; none at the end."""
        if self._cursor.description is None:
            return ()
        rows: Sequence[Sequence[Value]] = self._cursor.fetchmany(size)
        return rows

    def abandon(self) -> bool:
        """Give the rest up: it is here already."""
        return True


class AiopgBackend(CommonBackend):
    """PostgreSQL over aiopg."""

    driver = AiopgDriver()
    option_table = AIOPG
    pool_class = AioPool

    def _get_dialect(self) -> Dialect:
        return make_dialect(decodes_json=True)

    def connection(self) -> AiopgConnection:
        """Return a connection that is not acquired yet."""
        return AiopgConnection(self, self._dialect)


class AiopgConnection(CommonConnection):
    """A connection of aiopg."""

    driver = AiopgBackend.driver
    style = "format"
    syntax = POSTGRESQL

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return AiopgTransaction(self)

    def _result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        core = bound.plan.core
        # Programs count on 0, though the new key is there, for those who fetch it.
        if core is not None and core.returns_only_key:
            return 0
        return super()._result(bound, outcome)

    def _inserted_key(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return 0 if bound.plan.core is not None else None

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return outcome.row_count if bound.plan.kind is Kind.SELECT else 0


class AiopgTransaction(CommonTransaction):
    """A transaction or savepoint of aiopg."""


AiopgBackend.make_of(AiopgConnection)
