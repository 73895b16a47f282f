"""Backends derived from ours, as programs write them to get the number of affected rows."""

from __future__ import annotations

from typing import Any

from databases.backends.aiopg import AiopgBackend, AiopgConnection
from databases.backends.asyncmy import AsyncMyBackend, AsyncMyConnection
from databases.backends.mysql import MySQLBackend, MySQLConnection
from databases.backends.postgres import PostgresBackend, PostgresConnection
from databases.backends.sqlite import SQLiteBackend, SQLiteConnection


class RowsPostgresConnection(PostgresConnection):
    """Give asyncpg's status, such as ``UPDATE 3``."""

    async def execute(self, query: Any) -> Any:
        assert self._connection is not None, "Connection is not acquired"
        text, arguments = self._compile(query)[:2]
        return await self._connection.execute(text, *arguments)


class RowsPostgresBackend(PostgresBackend):
    """Lend such connections."""

    def connection(self) -> RowsPostgresConnection:
        return RowsPostgresConnection(self, self._dialect)


class RowsAiopgConnection(AiopgConnection):
    """Give psycopg2's count of rows."""

    async def execute(self, query: Any) -> Any:
        return await _count(self, query)


class RowsAiopgBackend(AiopgBackend):
    """Lend such connections."""

    def connection(self) -> RowsAiopgConnection:
        return RowsAiopgConnection(self, self._dialect)


class RowsMySQLConnection(MySQLConnection):
    """Give aiomysql's count of rows."""

    async def execute(self, query: Any) -> Any:
        return await _count(self, query)


class RowsMySQLBackend(MySQLBackend):
    """Lend such connections."""

    def connection(self) -> RowsMySQLConnection:
        return RowsMySQLConnection(self, self._dialect)


class RowsAsyncMyConnection(AsyncMyConnection):
    """Give asyncmy's count of rows; its cursors want ``async with``."""

    async def execute(self, query: Any) -> Any:
        raw: Any = self._connection
        assert raw is not None, "Connection is not acquired"
        text, arguments = self._compile(query)[:2]
        async with raw.cursor() as cursor:
            await cursor.execute(text, arguments)
            return ("rows", cursor.rowcount)


class RowsAsyncMyBackend(AsyncMyBackend):
    """Lend such connections."""

    def connection(self) -> RowsAsyncMyConnection:
        return RowsAsyncMyConnection(self, self._dialect)


class RowsSQLiteConnection(SQLiteConnection):
    """Give the count of rows of ``sqlite3``."""

    async def execute(self, query: Any) -> Any:
        return await _count(self, query)


class RowsSQLiteBackend(SQLiteBackend):
    """Lend such connections, which are made over the pool."""

    def connection(self) -> RowsSQLiteConnection:
        return RowsSQLiteConnection(self._pool, self._dialect)


async def _count(connection: Any, query: Any) -> Any:
    raw = connection._connection
    assert raw is not None, "Connection is not acquired"
    text, arguments = connection._compile(query)[:2]
    cursor = await raw.cursor()
    try:
        await cursor.execute(text, arguments)
        return ("rows", cursor.rowcount)
    finally:
        closed = cursor.close()
        if closed is not None:
            await closed
