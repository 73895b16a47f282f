"""The verbs of `driver`, for any driver with PEP 249 shaped cursors."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from databases.backends.common.driver import (
    Arguments,
    Called,
    Fetched,
    Outcome,
    RawConnection,
    Row,
    Stream,
    Value,
)
from databases.backends.common.plans import Plan
from databases.backends.common.slots import socket_news
from databases.urls import DatabaseURL

__all__ = ["CursorDriver", "CursorStream", "Peer", "heeding", "names_of"]

EMPTY = Fetched((), ())


class Peer(NamedTuple):
    """Whom to ask for a cancel: how a connection was made, and its id on the server."""

    url: DatabaseURL
    arguments: Mapping[str, Any]
    server_id: Any


class CursorDriver:
    """Verbs that open a cursor, run one statement and close it."""

    errors: Any
    streams_in_transaction = False
    interleaves = True
    bulk_is_atomic = False
    forgets_session = False

    def __init__(self) -> None:
        self._peers: weakref.WeakKeyDictionary[Any, Peer] = weakref.WeakKeyDictionary()

    def fileno(self, raw: RawConnection) -> int:
        """Return the file descriptor of the socket, -1 where there is none."""
        return int(raw.fileno())

    def news(self, raw: RawConnection) -> Callable[[int], Any]:
        """Look at the socket."""
        return socket_news(self.fileno(raw))

    def can_recover(self, raw: RawConnection) -> bool:
        """Say no: a cancelled statement leaves these drivers out of step."""
        return False

    def interrupt(self, raw: RawConnection) -> None:
        """Nothing can be asked without waiting; see `cancel`."""

    async def recover(self, raw: RawConnection) -> None:
        """Never called: see `can_recover`."""

    async def reset(self, raw: RawConnection) -> None:
        """Keep the session as it is: these drivers have no reset."""

    def is_unsent(self, error: BaseException) -> bool:
        """Say no: the news of an end waits for the next look at the socket, if there is one."""
        return False

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool | None:
        """Failed statements leave the transaction open."""
        return False

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row; one without a result gives none."""
        async with raw.cursor() as cursor:
            await cursor.execute(sql, args)
            if cursor.description is None:
                return EMPTY
            return Fetched(names_of(cursor), await cursor.fetchall())

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        async with raw.cursor() as cursor:
            await cursor.execute(sql, args)
            if cursor.description is None:
                return EMPTY
            row = await cursor.fetchone()
            return EMPTY if row is None else Fetched(names_of(cursor), (row,))

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; read its first row where it may have one."""
        async with raw.cursor() as cursor:
            await cursor.execute(sql, args)
            row: Row | None = None
            names: tuple[str, ...] = ()
            if plan.returns_rows and cursor.description is not None:
                row, names = await cursor.fetchone(), names_of(cursor)
            return Outcome(row, names, cursor.rowcount, getattr(cursor, "lastrowid", None))

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql*, in which ``%`` is written twice, and tell everything about its result."""
        async with raw.cursor() as cursor:
            if args:
                await cursor.execute(sql, args)
            else:
                # As it is: it may be a script, and is nobody's template.
                await cursor.execute(sql.replace("%%", "%"), None)
            if cursor.description is None:
                return Called(None, (), cursor.rowcount, getattr(cursor, "lastrowid", None))
            return Called(names_of(cursor), await cursor.fetchall(), cursor.rowcount)

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row by ``executemany()``."""
        async with raw.cursor() as cursor:
            await cursor.executemany(sql, rows)

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        async with raw.cursor() as cursor:
            await cursor.execute(sql)

    async def ping(self, raw: RawConnection) -> None:
        """Ask the server for a sign of life."""
        await self.run(raw, "SELECT 1")

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Declare a cursor on the server and fetch from it in batches."""
        raise NotImplementedError


class CursorStream:
    """A cursor whose rows stay on the server until they are fetched."""

    def __init__(self, cursor: Any, *, goes_on: bool) -> None:
        self._cursor = cursor
        self._goes_on = goes_on
        self._is_exhausted = cursor.description is None
        self.names: Sequence[str] = names_of(cursor) if cursor.description else ()

    async def fetch(self, size: int) -> Sequence[Sequence[Value]]:
        """Return the next rows; none at the end."""
        if self._is_exhausted:
            return ()
        rows: Sequence[Sequence[Value]] = await self._cursor.fetchmany(size)
        if not rows:
            self._is_exhausted = True
            await _closed(self._cursor)
        return rows

    def abandon(self) -> bool:
        """Give the rest up."""
        return self._goes_on or self._is_exhausted


async def heeding(work: Awaitable[Any]) -> Any:
    """Await *work* and heed a cancellation that met its result.

    These drivers wait by ``asyncio.wait_for``, which on Python 3.11 may
    swallow it.
    """
    task: Any = asyncio.current_task()
    if not hasattr(task, "cancelling"):
        return await work
    before = task.cancelling()
    result = await work
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result


def names_of(cursor: Any) -> tuple[str, ...]:
    """Return the column names of *cursor*'s result."""
    return tuple([column[0] for column in cursor.description])


async def _closed(cursor: Any) -> None:
    result = cursor.close()
    if asyncio.iscoroutine(result):
        await result
