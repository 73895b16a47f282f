"""PostgreSQL over psycopg 3."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import traceback
import weakref
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.cursors import EMPTY, CursorDriver, CursorStream
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
from databases.backends.common.kinds import is_declarable
from databases.backends.common.option_tables import PSYCOPG
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
from databases.errors import ConfigurationError
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.limits import limited
from databases.urls import DatabaseURL

__all__ = ["PsycopgBackend", "PsycopgConnection", "PsycopgTransaction", "Record"]

psycopg: Any = import_driver("psycopg")
_ROWS: Any = psycopg.pq.ExecStatus.TUPLES_OK

# Seconds between two looks at a silent socket. psycopg 3.1.9 and newer take them,
# under one name or another, and would never sleep without.
_PATIENT = dict.fromkeys(list(signature(psycopg.waiting.wait_async).parameters)[2:3], 0.1)

# Reads $1 as the server does. The common cursor reads %s, and does so anew each
# time when there are more than fifty. psycopg 3.2 and newer have it.
_RawCursor: Any = getattr(psycopg, "AsyncRawCursor", None)

# libpq has pipelines from release 14 on.
_HAS_PIPELINES: bool = psycopg.AsyncPipeline.is_supported()

# libpq's numbers for an open connection and for one whose statement runs.
_OK, _ACTIVE = 0, 1
_INTERRUPTIONS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
_SOON = 0.05
"""Seconds until a look whether a cancelled task has left the connection."""


class PsycopgDriver(CursorDriver):
    """psycopg's connections in autocommit: transactions are begun by us alone."""

    errors = psycopg
    streams_in_transaction = True
    forgets_session = True

    def accepts(self, name: str) -> bool:
        """Ask libpq, and look at the arguments of ``AsyncConnection.connect()``."""
        known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
        return name in known or takes(psycopg.AsyncConnection.connect, name)

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection; libpq tries several hosts in their order."""
        given: dict[str, Any] = libpq_arguments(url)
        given.setdefault("connect_timeout", 60)
        given.update({"autocommit": True, **await with_password(arguments)})
        _check(given)
        raw = await psycopg.AsyncConnection.connect(**given)
        raw.given_up = None
        raw.given = given
        raw.wait = functools.partial(_wait, weakref.ref(raw))
        return raw

    async def close(self, raw: RawConnection) -> None:
        """Say goodbye and close."""
        await raw.close()

    def terminate(self, raw: RawConnection) -> None:
        """Close the socket.

        While another task is still in psycopg it is only shut down: its
        number would be given to a new connection, which that task, on its way
        out, would take off the event loop.
        """
        if not raw.lock.locked():
            _end(getattr(raw, "given_up", None))
            raw.given_up = None
            raw.pgconn.finish()
        elif raw.pgconn.status == _OK:
            with contextlib.suppress(OSError):
                _shut_down(raw.pgconn.socket)
            asyncio.get_running_loop().call_later(_SOON, self.terminate, raw)
        else:
            asyncio.get_running_loop().call_later(_SOON, self.terminate, raw)

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether libpq has a connection that it does not know to be broken.

        One that psycopg could not lead out of its pipeline answers nothing else.
        """
        return not (raw.closed or raw.broken or _is_in_pipeline(raw))

    def in_transaction(self, raw: RawConnection) -> bool:
        """Ask libpq: active, in a transaction, or in a failed one."""
        return raw.pgconn.transaction_status in (1, 2, 3)

    def is_unsent(self, error: BaseException) -> bool:
        """Say yes too where the server refuses a prepared statement before it does anything.

        The table has changed, or somebody has deallocated it: psycopg would
        send it for ever on that connection.
        """
        is_stale = isinstance(error, psycopg.errors.FeatureNotSupported) and "cached" in str(error)
        is_gone = isinstance(error, psycopg.errors.InvalidSqlStatementName)
        return is_stale or is_gone or super().is_unsent(error)

    def can_recover(self, raw: RawConnection) -> bool:
        """Psycopg can cancel on the server and read what it answers."""
        return self.is_usable(raw) and (
            raw.pgconn.transaction_status in (0, 2, 3) or raw.given_up is not None
        )

    async def recover(self, raw: RawConnection) -> None:
        """Cancel on the server and take part in psycopg's conversation to its end."""
        conversation, raw.given_up = raw.given_up, None
        if conversation is None or raw.pgconn.transaction_status != _ACTIVE:
            return
        try:
            await self._cancel(raw)
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                await psycopg.waiting.wait_async(conversation, raw.pgconn.socket, **_PATIENT)
        finally:
            _end(conversation)

    def is_clean(self, error: BaseException) -> bool:
        """Trust all but time-outs and errors of the socket."""
        return isinstance(error, Exception) and not isinstance(error, (TimeoutError, OSError))

    async def cancel(self, raw: RawConnection) -> None:
        """Ask the server to stop the statement, then close."""
        try:
            await self._cancel(raw)
        finally:
            self.terminate(raw)
        async with raw.lock:  # the statement's task sees the end of the socket and lets go
            raw.pgconn.finish()

    async def _cancel(self, raw: RawConnection) -> None:
        if not hasattr(raw, "cancel_safe"):
            # psycopg 3.1 would block the event loop, also in a thread of its own.
            async with limited(3.0), await psycopg.AsyncConnection.connect(**raw.given) as other:
                await other.execute("SELECT pg_cancel_backend(%s)", [raw.info.backend_pid])
            return
        try:
            await raw.cancel_safe(timeout=3.0)
        except BaseException as error:
            # Its second socket is in there, and would live as long as the error.
            traceback.clear_frames(error.__traceback__)
            raise

    async def reset(self, raw: RawConnection) -> None:
        """Forget settings, listeners, advisory locks and cursors."""
        # What psycopg keeps on its own side first: it would begin a transaction.
        raw.row_factory = psycopg.rows.tuple_row
        await raw.set_autocommit(True)
        await raw.set_isolation_level(None)
        await raw.set_read_only(None)
        await raw.set_deferrable(None)
        await raw.execute(RESET)

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row; one without a result gives none."""
        cursor = await _executed(raw, sql, args)
        names = _names(raw, cursor)
        return EMPTY if names is None else Fetched(names, await cursor.fetchall())

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        cursor = await _executed(raw, sql, args)
        names = _names(raw, cursor)
        row = None if names is None else await cursor.fetchone()
        return EMPTY if row is None else Fetched(names or (), (row,))

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; read its first row where it may have one."""
        cursor = await _executed(raw, sql, args)
        names = _names(raw, cursor) if plan.returns_rows else None
        row = None if names is None else await cursor.fetchone()
        return Outcome(row, names or (), cursor.rowcount)

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql* and tell everything about its result."""
        if _RawCursor is None:
            return await super().call(raw, sql, args)
        cursor = await _executed(raw, sql, args)
        names = _names(raw, cursor)
        return Called(names, () if names is None else await cursor.fetchall(), cursor.rowcount)

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row in psycopg's pipeline."""
        try:
            async with _cursor(raw) as cursor:
                await cursor.executemany(sql, rows)
        except psycopg.Error as error:
            if raw.given_up is None:
                raise
            # Leaving the pipeline in the middle failed: that is no news.
            raise _interruption(error) from None
        if not self.is_usable(raw):
            raise psycopg.OperationalError("cannot go on: psycopg has not left its pipeline")

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Declare a cursor on the server; only queries can have one."""
        if is_declarable(sql):
            stream = DeclaredStream(self, raw)
            await stream.declare(sql, args)
            return stream
        return CursorStream(await _executed(raw, sql, args), goes_on=True)

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each."""
        return strengths(options)

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin."""
        await self.run(raw, begin_statement(options))

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        check_commit((await raw.execute("COMMIT")).statusmessage)

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back."""
        await self.run(raw, "ROLLBACK")

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        await raw.execute(sql, None, prepare=False)


async def _wait(connection: weakref.ref[Any], gen: Any, *args: Any, **kwargs: Any) -> Any:
    """Take the place of ``AsyncConnection.wait``: give a cancelled statement up at once.

    psycopg would see its end first, which takes ten seconds when the server is
    silent. *gen* is psycopg's conversation with the server; `recover` ends it.
    """
    raw = connection()
    assert raw is not None
    if not args:
        kwargs = _PATIENT | kwargs
    try:
        return await psycopg.waiting.wait_async(gen, raw.pgconn.socket, *args, **kwargs)
    except _INTERRUPTIONS:
        # Not the exception itself: it would keep alive what the task has left.
        raw.given_up = gen
        raise


def _check(arguments: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` for arguments with which queries would not work."""
    if not arguments["autocommit"]:
        raise ConfigurationError(
            "cannot connect: with autocommit=False, what is executed outside a transaction "
            "would be dropped; leave autocommit on and use database.transaction()"
        )
    if arguments.get("row_factory") is not None:
        raise ConfigurationError(
            "cannot connect: records are made of psycopg's tuples; leave row_factory out, "
            "and give into= to the queries"
        )


def _cursor(raw: RawConnection) -> Any:
    return raw.cursor() if _RawCursor is None else _RawCursor(raw)


async def _executed(raw: RawConnection, sql: str, args: Arguments) -> Any:
    """Return a cursor that has run *sql*."""
    cursor = _cursor(raw) if args else raw.cursor()
    await cursor.execute(sql, args or None)
    return cursor


def _names(raw: RawConnection, cursor: Any) -> tuple[str, ...] | None:
    """Return the column names of *cursor*'s result, perhaps none; None if there is no result."""
    # psycopg's own `description` makes an object of every column, at each look.
    result = cursor.pgresult
    if result is None or result.status != _ROWS:
        return None
    encoding = raw.info.encoding
    return tuple([result.fname(index).decode(encoding) for index in range(result.nfields)])


def _interruption(error: BaseException) -> BaseException:
    """Return the cancellation that *error* came up after."""
    found = error.__context__
    while found is not None and not isinstance(found, _INTERRUPTIONS):
        found = found.__context__
    return asyncio.CancelledError() if found is None else found


def _is_in_pipeline(raw: RawConnection) -> bool:
    return _HAS_PIPELINES and bool(raw.pgconn.pipeline_status)


def _end(conversation: Any) -> None:
    """Close a conversation that nobody goes on with, as long as libpq has its connection."""
    if conversation is not None:
        # Its way out talks to a server that may be gone: whatever comes is no news.
        with contextlib.suppress(Exception):
            conversation.close()


def _shut_down(fileno: int) -> None:
    with socket.socket(fileno=os.dup(fileno)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


class PsycopgBackend(CommonBackend):
    """PostgreSQL over psycopg 3."""

    driver = PsycopgDriver()
    option_table = PSYCOPG
    pool_class = AioPool

    def _get_dialect(self) -> Dialect:
        return make_dialect(decodes_json=True)

    def connection(self) -> PsycopgConnection:
        """Return a connection that is not acquired yet."""
        return PsycopgConnection(self, self._dialect)


class PsycopgConnection(CommonConnection):
    """A connection of psycopg."""

    driver = PsycopgBackend.driver
    # Numbered, a parameter that is there twice is one: else what is grouped by is
    # another expression than what is selected.
    style = "format" if _RawCursor is None else "numeric_dollar"
    syntax = POSTGRESQL
    selects_value = True

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return PsycopgTransaction(self)

    def _inserted_key(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return bound.key if outcome.row_count else None

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return None


class PsycopgTransaction(CommonTransaction):
    """A transaction or savepoint of psycopg."""


PsycopgBackend.make_of(PsycopgConnection)
