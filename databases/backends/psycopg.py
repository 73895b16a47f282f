"""PostgreSQL over psycopg 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection, CommonTransaction
from databases.backends.common.cursors import CursorDriver, CursorStream
from databases.backends.common.driver import Arguments, Outcome, RawConnection, Stream, takes
from databases.backends.common.option_tables import PSYCOPG
from databases.backends.common.plans import BoundStatement, Kind, kind_of
from databases.backends.common.pool_faces import AioPool
from databases.backends.common.rawsql import POSTGRESQL
from databases.backends.common.records import Record
from databases.backends.dialects.postgresql import (
    RESET,
    DeclaredStream,
    begin_statement,
    check_commit,
    libpq_arguments,
    make_dialect,
)
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["PsycopgBackend", "PsycopgConnection", "PsycopgTransaction", "Record"]

psycopg: Any = import_driver("psycopg")


class PsycopgDriver(CursorDriver):
    """psycopg's connections in autocommit: transactions are begun by us alone."""

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
        return await psycopg.AsyncConnection.connect(**{**given, "autocommit": True, **arguments})

    async def close(self, raw: RawConnection) -> None:
        """Say goodbye and close."""
        await raw.close()

    def terminate(self, raw: RawConnection) -> None:
        """Close the socket."""
        raw.pgconn.finish()

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether libpq has a connection that it does not know to be broken."""
        return not (raw.closed or raw.broken)

    def in_transaction(self, raw: RawConnection) -> bool:
        """Ask libpq: active, in a transaction, or in a failed one."""
        return raw.pgconn.transaction_status in (1, 2, 3)

    def can_recover(self, raw: RawConnection) -> bool:
        """Psycopg has cancelled on the server, unless the statement is still active."""
        return self.is_usable(raw) and raw.pgconn.transaction_status in (0, 2, 3)

    def is_clean(self, error: BaseException) -> bool:
        """The server's errors and wrong arguments leave the connection in step."""
        return isinstance(error, Exception) and not isinstance(error, (TimeoutError, OSError))

    async def cancel(self, raw: RawConnection) -> None:
        """Ask the server to stop the statement, then close."""
        try:
            if hasattr(raw, "cancel_safe"):
                await raw.cancel_safe(timeout=3.0)
            else:
                raw.cancel()
        finally:
            self.terminate(raw)

    async def reset(self, raw: RawConnection) -> None:
        """Forget settings, listeners, advisory locks and cursors."""
        await raw.execute(RESET)

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Declare a cursor on the server; only queries can have one."""
        if kind_of(sql) is Kind.SELECT:
            stream = DeclaredStream(self, raw)
            await stream.declare(sql, args)
            return stream
        cursor = raw.cursor()
        await cursor.execute(sql, args)
        return CursorStream(cursor, goes_on=True)

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


class PsycopgBackend(CommonBackend):
    """PostgreSQL over psycopg 3."""

    driver = PsycopgDriver()
    option_table = PSYCOPG
    pool_class = AioPool

    def _get_dialect(self) -> Dialect:
        return make_dialect("format", decodes_json=True)

    def connection(self) -> PsycopgConnection:
        """Return a connection that is not acquired yet."""
        return PsycopgConnection(self, self._dialect)


class PsycopgConnection(CommonConnection):
    """A connection of psycopg."""

    driver = PsycopgBackend.driver
    style = "format"
    syntax = POSTGRESQL
    selects_value = True

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return PsycopgTransaction(self)

    def _inserted_key(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return bound.key

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return None


class PsycopgTransaction(CommonTransaction):
    """A transaction or savepoint of psycopg."""


PsycopgBackend.connection_class = PsycopgConnection
