"""MySQL and MariaDB over aiomysql."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.driver import Outcome, RawConnection, takes
from databases.backends.common.option_tables import AIOMYSQL
from databases.backends.common.plans import BoundStatement
from databases.backends.common.pool_faces import AioPool
from databases.backends.common.rawsql import MYSQL
from databases.backends.common.records import Record
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects.mysql import MySQLDriver, make_dialect
from databases.backends.dialects.packets import connection_class
from databases.importer import import_driver
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["MySQLBackend", "MySQLConnection", "MySQLTransaction", "Record"]

aiomysql: Any = import_driver("aiomysql")
_errors: Any = import_driver("pymysql", extra="aiomysql").err
_cursors: Any = aiomysql.cursors


class AioMySQLDriver(MySQLDriver):
    """aiomysql's connections."""

    errors = _errors
    stream_cursor = _cursors.SSCursor
    bulk_insert = _cursors.RE_INSERT_VALUES

    def accepts(self, name: str) -> bool:
        """Look at the arguments of ``aiomysql.connect()``."""
        return takes(aiomysql.connect, name)

    async def open(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection as ``aiomysql.connect()`` does."""
        raw = connection_class()(**self.arguments(url, arguments, "db"))
        try:
            await raw._connect()
        except BaseException:
            raw.close()  # connect() would leave it half made to the collector
            raise
        return raw

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell whether the socket is open."""
        reader = raw._reader
        return not (raw.closed or reader.at_eof() or reader.exception() is not None)


class MySQLBackend(CommonBackend):
    """MySQL and MariaDB over aiomysql."""

    driver = AioMySQLDriver()
    option_table = AIOMYSQL
    pool_class = AioPool

    def _get_dialect(self) -> Dialect:
        return make_dialect()

    def connection(self) -> MySQLConnection:
        """Return a connection that is not acquired yet."""
        return MySQLConnection(self, self._dialect)


class MySQLConnection(CommonConnection):
    """A connection of aiomysql."""

    driver = MySQLBackend.driver
    style = "format"
    syntax = MYSQL

    def transaction(self) -> TransactionBackend:
        """Return a transaction that is not started yet."""
        return MySQLTransaction(self)

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return outcome.row_count


class MySQLTransaction(CommonTransaction):
    """A transaction or savepoint of aiomysql."""


MySQLBackend.make_of(MySQLConnection)
