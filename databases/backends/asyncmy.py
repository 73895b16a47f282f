"""MySQL and MariaDB over asyncmy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.driver import Outcome, RawConnection, takes
from databases.backends.common.option_tables import ASYNCMY
from databases.backends.common.plans import BoundStatement
from databases.backends.common.pool_faces import AioPool
from databases.backends.common.rawsql import MYSQL
from databases.backends.common.records import Record
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects.arrived import connection_class
from databases.backends.dialects.mysql import MySQLDriver, make_dialect
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["AsyncMyBackend", "AsyncMyConnection", "AsyncMyTransaction", "Record"]

asyncmy: Any = import_driver("asyncmy")
_errors: Any = import_driver("asyncmy.errors")
_cursors: Any = import_driver("asyncmy.cursors")


class AsyncMyDriver(MySQLDriver):
    """asyncmy's connections."""

    errors = _errors
    stream_cursor = _cursors.SSCursor
    bulk_insert = _cursors.RE_INSERT_VALUES

    def accepts(self, name: str) -> bool:
        """Look at the arguments of ``asyncmy.connect()``."""
        return takes(asyncmy.connect, name)

    async def open(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection as ``asyncmy.connect()`` does."""
        raw = connection_class()(**self.arguments(url, arguments, "database"))
        await raw.connect()
        return raw

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether the socket is open."""
        # Older releases stay "connected" when they have closed the socket.
        return bool(raw.connected) and getattr(raw, "_writer", raw) is not None


class AsyncMyBackend(CommonBackend):
    """MySQL and MariaDB over asyncmy."""

    driver = AsyncMyDriver()
    option_table = ASYNCMY
    pool_class = AioPool

    def _get_dialect(self) -> Dialect:
        return make_dialect()

    def connection(self) -> AsyncMyConnection:
        """Return a connection that is not acquired yet."""
        return AsyncMyConnection(self, self._dialect)


class AsyncMyConnection(CommonConnection):
    """A connection of asyncmy."""

    driver = AsyncMyBackend.driver
    style = "format"
    syntax = MYSQL

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return AsyncMyTransaction(self)

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return outcome.row_count


class AsyncMyTransaction(CommonTransaction):
    """A transaction or savepoint of asyncmy."""


AsyncMyBackend.make_of(AsyncMyConnection)
