"""DBAPI: a raw connection as SQLAlchemy's synchronous engine wants it (PEP 249)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Engine, make_url
from sqlalchemy.pool import NullPool

from databases.backends.common.driver import Called

if TYPE_CHECKING:
    from databases.bridge import Bridge

__all__ = ["SyncConnection", "make_engine"]

AUTOCOMMIT = "AUTOCOMMIT"
_DEFAULT = "DEFAULT"
_LEVELS = (
    _DEFAULT,
    AUTOCOMMIT,
    "SERIALIZABLE",
    "REPEATABLE READ",
    "READ COMMITTED",
    "READ UNCOMMITTED",
)


class SyncConnection:
    """The connection of a task, used from a thread that the task waits for.

    As PEP 249 says, a transaction begins with the first statement: one of the
    library's own, so that it is a savepoint where one is open already.
    """

    def __init__(self, connection: Any, bridge: Bridge[Any], options: dict[str, Any]) -> None:
        self._connection = connection
        self._bridge = bridge
        self._options = options
        self._is_nested = bool(connection._stack.runs)
        self.transaction: Any = None
        """What is open, begun here and not ended."""
        self.isolation = _DEFAULT

    def cursor(self) -> SyncCursor:
        """Return a cursor."""
        return SyncCursor(self)

    def commit(self) -> None:
        """Commit what was done here, if anything was."""
        self._end("commit")

    def rollback(self) -> None:
        """Undo what was done here, if anything was."""
        self._end("rollback")

    def close(self) -> None:
        """Undo what was not committed; the connection itself is the task's."""
        self.rollback()

    def character_set_name(self) -> str:
        """Say how text is encoded, as MySQL's drivers do."""
        return "utf8mb4"

    def _end(self, verb: str) -> None:
        transaction = self.transaction

        async def end() -> None:
            # On the task's side: a task that is cancelled before ends it itself.
            self.transaction = None
            await getattr(transaction, verb)()

        if transaction is not None and not self._bridge.is_closed:
            self._bridge.wait(end)

    def run(self, sql: str, args: Sequence[Any]) -> Called:
        """Run *sql* once."""
        called: Called = self._wait("call", sql, args, is_nested=self._is_nested)
        return called

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run *sql* once per row."""
        if rows:
            self._wait("call_many", sql, rows)

    def _wait(self, verb: str, sql: str, args: Any, **known: Any) -> Any:
        connection = self._connection
        if self.transaction is None and self.isolation != AUTOCOMMIT:
            options = dict(self._options)
            if self.isolation != _DEFAULT:
                options["isolation"] = self.isolation
            transaction = connection.transaction(**({} if self._is_nested else options))

            async def begin() -> None:
                await transaction.start()
                self.transaction = transaction

            self._bridge.wait(begin)
        connection._connection._statements.log(sql, args if verb == "call" else args[0])
        return self._bridge.wait(lambda: connection._call(verb, sql, args, **known))


class SyncCursor:
    """One statement and its rows, all of them in memory."""

    arraysize = 1

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self._position = 0
        self.description: Sequence[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.lastrowid: Any = None

    def execute(self, sql: str, args: Sequence[Any] = ()) -> SyncCursor:
        """Run *sql*."""
        called = self._connection.run(sql, args)
        self._rows, self._position = list(called.rows), 0
        self.description = None
        if called.names is not None:
            self.description = [(name, *[None] * 6) for name in called.names]
        self.rowcount = -1 if called.row_count is None else called.row_count
        self.lastrowid = called.last_id
        return self

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> SyncCursor:
        """Run *sql* once per row."""
        self._connection.run_many(sql, rows)
        self.description, self._rows, self.rowcount = None, [], -1
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows."""
        end = self._position + (self.arraysize if size is None else size)
        rows, self._position = self._rows[self._position : end], end
        return rows

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []

    def setinputsizes(self, *sizes: object) -> None:
        """Do nothing, as PEP 249 allows."""


def make_engine(connection: SyncConnection, backend: Any) -> Engine:
    """Return an engine of the dialect of *backend* whose one connection is *connection*."""
    # A dialect of its own: what it learns of the server stays here.
    given: Any = backend.make_dialect()
    for name in ("_json_serializer", "_json_deserializer"):
        setattr(given, name, getattr(backend._dialect, name, None))
    given.dbapi = backend.driver.errors
    # The level is the transaction's, which the connection begins.
    given.set_isolation_level = _set_isolation
    given.get_isolation_level = _get_isolation
    given.get_default_isolation_level = _get_isolation
    given.get_isolation_level_values = lambda _: _LEVELS
    pool = NullPool(lambda: connection, dialect=given)  # type: ignore[arg-type]  # PEP 249
    # SQLAlchemy's errors show parameters.
    hides = backend._hides_values
    return Engine(pool, given, make_url(f"{given.name}://"), hide_parameters=hides)


def _set_isolation(connection: SyncConnection, level: str) -> None:
    connection.isolation = level


def _get_isolation(connection: SyncConnection) -> str:
    return connection.isolation
