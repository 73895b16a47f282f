"""The contract between the facade and a backend; third parties implement it too.

A backend is handed SQLAlchemy clauses that nobody compiled yet, and owes no
more than the methods below.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.sql import ClauseElement

__all__ = ["ConnectionBackend", "DatabaseBackend", "Record", "TransactionBackend"]


class DatabaseBackend:
    """One database as one driver sees it."""

    async def connect(self) -> None:
        """Make the backend ready; called once before `connection` is used."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Close everything that `connect` and later calls have opened."""
        raise NotImplementedError

    def connection(self) -> ConnectionBackend:
        """Return a new connection that is not acquired yet."""
        raise NotImplementedError


class ConnectionBackend:
    """One connection, acquired before it is used and released afterwards."""

    async def acquire(self) -> None:
        """Take a driver connection."""
        raise NotImplementedError

    async def release(self) -> None:
        """Give the driver connection back."""
        raise NotImplementedError

    async def fetch_all(self, query: ClauseElement) -> list[Record]:
        """Run *query* and return every row."""
        raise NotImplementedError

    async def fetch_one(self, query: ClauseElement) -> Record | None:
        """Run *query* and return its first row, or None."""
        raise NotImplementedError

    async def fetch_val(self, query: ClauseElement, column: Any = 0) -> Any:
        """Run *query* and return one value of its first row, or None."""
        row = await self.fetch_one(query)
        return None if row is None else row[column]

    async def execute(self, query: ClauseElement) -> Any:
        """Run *query* and return its key, row count or value."""
        raise NotImplementedError

    async def execute_many(self, queries: list[ClauseElement]) -> None:
        """Run one statement per clause."""
        raise NotImplementedError

    async def iterate(self, query: ClauseElement) -> AsyncGenerator[Any, None]:
        """Run *query* and yield its rows one by one."""
        raise NotImplementedError
        # An unreachable yield makes this an asynchronous generator.
        yield True

    def transaction(self) -> TransactionBackend:
        """Return a transaction on this connection that is not started yet."""
        raise NotImplementedError

    @property
    def raw_connection(self) -> Any:
        """The driver's own connection."""
        raise NotImplementedError


class TransactionBackend:
    """One transaction, or one savepoint inside it."""

    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:
        """Begin; *is_root* is false for a savepoint."""
        raise NotImplementedError

    async def commit(self) -> None:
        """Make what was done permanent."""
        raise NotImplementedError

    async def rollback(self) -> None:
        """Undo what was done."""
        raise NotImplementedError


class Record(Sequence[Any]):
    """One row: values by column name, position or SQLAlchemy column."""

    __slots__ = ()

    @property
    def _mapping(self) -> Mapping[Any, Any]:
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    if TYPE_CHECKING:
        # What every record of this library offers beyond a sequence.
        def __getattr__(self, name: str) -> Any: ...
        def keys(self) -> Iterable[str]: ...  # noqa: D102
        def values(self) -> Iterable[Any]: ...  # noqa: D102
