"""A backend written against `databases.interfaces` alone type-checks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from sqlalchemy.sql import ClauseElement

from databases.interfaces import (
    ConnectionBackend,
    DatabaseBackend,
    Record,
    TransactionBackend,
)


class MyTransaction(TransactionBackend):
    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:
        pass

    async def commit(self) -> None:
        pass

    async def rollback(self) -> None:
        pass


class MyConnection(ConnectionBackend):
    async def acquire(self) -> None:
        pass

    async def release(self) -> None:
        pass

    async def fetch_all(self, query: ClauseElement) -> list[Record]:
        return []

    async def fetch_one(self, query: ClauseElement) -> Record | None:
        return None

    async def fetch_val(self, query: ClauseElement, column: Any = 0) -> Any:
        return None

    async def execute(self, query: ClauseElement) -> Any:
        return None

    async def execute_many(self, queries: list[ClauseElement]) -> None:
        pass

    async def iterate(self, query: ClauseElement) -> AsyncGenerator[Record, None]:
        for record in await self.fetch_all(query):
            yield record

    def transaction(self) -> TransactionBackend:
        return MyTransaction()

    @property
    def raw_connection(self) -> Any:
        return self


class MyBackend(DatabaseBackend):
    async def connect(self) -> None:
        pass

    async def disconnect(self) -> None:
        pass

    def connection(self) -> ConnectionBackend:
        return MyConnection()
