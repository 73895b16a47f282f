"""Streams: rows that stay on the server, and what that means for other statements."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from databases.backends.common.driver import RawConnection, Stream
from databases.errors import ConnectionStateError

if TYPE_CHECKING:
    from databases.backends.common.lease import Lease
    from databases.backends.common.plans import BoundStatement

__all__ = ["BATCH_SIZE", "OpenStream", "abandoned_closed"]

BATCH_SIZE = 256
"""Rows that a stream asks of the server at a time."""


async def abandoned_closed() -> None:
    """Wait until the event loop has closed the generators of loops that were left."""
    for _ in range(2):  # it makes a task of it in the first turn, which runs in the second
        await asyncio.sleep(0)


class OpenStream:
    """A stream on a connection, and what has to happen for others to use it."""

    def __init__(self, connection: Lease, raw: RawConnection) -> None:
        self._connection = connection
        self._raw = raw
        self._stream: Stream | None = None
        self._buffer: list[Any] | None = None
        self._error: BaseException | None = None
        self._owns_transaction = False
        self._is_closed = False
        self.names: Any = ()

    @property
    def is_in_memory(self) -> bool:
        """Whether every row has left the server."""
        return self._buffer is not None

    async def open(self, bound: BoundStatement) -> None:
        """Send the statement, inside a transaction of its own where it needs one."""
        connection, driver = self._connection, self._connection.driver
        if driver.streams_in_transaction and not driver.in_transaction(self._raw):
            self._owns_transaction = True
            await driver.begin(self._raw, {})
        if self._owns_transaction or not driver.interleaves:
            connection._stream = self
            connection._is_troubled = True  # the next statement settles first
        self._stream = await driver.stream(self._raw, bound.sql, bound.args)

    async def fetch(self, size: int) -> Any:
        """Return the next rows, none at the end."""
        if self._buffer is not None:
            first, self._buffer = self._buffer[:size], self._buffer[size:]
            if not first and self._error is not None:
                raise self._error
            return first
        stream = self._stream
        if stream is None or self._connection._connection is not self._raw:
            raise ConnectionStateError(
                "cannot read on: the stream's connection was released or lost; query again"
            )
        rows = await stream.fetch(size)
        self.names = stream.names
        return rows

    async def finish(self) -> None:
        """End well, after the last row."""
        self._stream = None
        if self._owns_transaction:
            self._owns_transaction = False
            await self._connection.driver.commit(self._raw)
        self._detach()

    async def spool(self) -> None:
        """Read the rest into memory.

        What comes in between is the loop's to know, after the rows before it;
        it is raised here as well.
        """
        if not self._is_closed:
            await abandoned_closed()
        stream = self._stream
        if stream is None:
            return
        rest: list[Any] = []
        try:
            while rows := await stream.fetch(BATCH_SIZE if self._is_closed else 10 * BATCH_SIZE):
                if self._stream is not stream:
                    return  # closed meanwhile, by whoever left its loop
                if not self._is_closed:
                    rest.extend(rows)
            if self._stream is not stream:
                return
            self.names = stream.names
            self._buffer = rest
            await self.finish()
        except BaseException as error:
            if self._stream is stream or self._buffer is rest:
                self._break(error, rest, stream.names)
            raise

    def _break(self, error: BaseException, rows: list[Any], names: Any) -> None:
        if not isinstance(error, Exception):
            error = ConnectionStateError(
                "cannot read on: a query in the loop was given up while the rows that were left "
                "were read into memory for it; query again"
            )
        self._error, self._buffer = error, rows
        self.names = self.names or names
        if self._owns_transaction and self._connection._slot is not None:
            self._connection._owe("ROLLBACK")
        self._owns_transaction = False
        self._stream = None
        self._detach()

    def abandon(self) -> bool:
        """Give the rest up; tell whether the connection can go on as it is."""
        stream, self._stream = self._stream, None
        goes_on = True if stream is None else stream.abandon()
        return goes_on and not self._owns_transaction

    def close(self) -> None:
        """End at any time, without waiting."""
        connection = self._connection
        slot = connection._slot
        self._is_closed = True
        if self._stream is None or slot is None or slot.raw is not self._raw:
            if self._owns_transaction and slot is not None and slot.raw is self._raw:
                connection._owe("ROLLBACK")
            self._detach()
        elif self._owns_transaction:
            self.abandon()
            connection._owe("ROLLBACK")
            self._detach()
        elif connection.driver.interleaves:
            self.abandon()
            self._detach()
        # Otherwise the rows that are left stand in the way of the next
        # statement, which reads them first: see Lease._settle.

    def _detach(self) -> None:
        if self._connection._stream is self:
            self._connection._stream = None
