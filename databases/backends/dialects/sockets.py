"""Sockets: aiopg's connection, told of every socket that libpq takes and lets go.

aiopg watches the socket that it found at first. libpq takes another one when it
tries again, without TLS or at the next address, and lets one go as soon as it
is broken. Its number may be somebody else's a moment later.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from databases.importer import import_driver

__all__ = ["AttentiveConnection", "executed"]

aiopg: Any = import_driver("aiopg")
psycopg2: Any = import_driver("psycopg2", extra="aiopg")

_OK, _ERROR, _WRITE = (
    getattr(psycopg2.extensions, name) for name in ("POLL_OK", "POLL_ERROR", "POLL_WRITE")
)


class AttentiveConnection(aiopg.Connection):  # type: ignore[misc]  # aiopg has no types
    """aiopg's connection, which never watches a socket that is not its own."""

    # Programs tell the drivers apart by the module of this class.
    __module__ = aiopg.Connection.__module__

    _fileno: int | None
    _writing: bool
    _is_connected = False

    @staticmethod
    def _ready(weak_self: weakref.ref[Any]) -> None:
        """Go on with what the connection does: its socket can be read or written."""
        self = weak_self()
        if self is None:
            return
        if not self._is_connected:
            # A new socket may have the old one's number: nobody could tell.
            self._ignore()
        try:
            state = self._conn.poll()
        except (psycopg2.Warning, psycopg2.Error) as error:
            self._fail(error)
            return
        if state == _ERROR:
            self._fail(psycopg2.OperationalError("the connection has failed"))
            return
        while self._conn.notifies:
            self._notifies.put_nowait(self._conn.notifies.pop(0))
        self._watch(writes=state == _WRITE)
        if state == _OK:
            self._is_connected = True
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Tell whoever waits; most often the server has refused a statement, and no more."""
        if self._conn.closed or self._conn.fileno() < 0:
            self._ignore()
            self._notifies_proxy.close(error)
        elif self._is_connected:
            self._watch(writes=False)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _watch(self, *, writes: bool) -> None:
        """Be called when the socket can be read and, with *writes*, written."""
        if self._fileno is None:
            self._fileno = self._conn.fileno()
            self._loop.add_reader(self._fileno, self._ready, self._weakref)
        if writes and not self._writing:
            self._loop.add_writer(self._fileno, self._ready, self._weakref)
        elif self._writing and not writes:
            self._loop.remove_writer(self._fileno)
        self._writing = writes

    def _ignore(self) -> None:
        """Be called no more."""
        if self._fileno is not None:
            self._loop.remove_reader(self._fileno)
            if self._writing:
                self._loop.remove_writer(self._fileno)
        self._fileno, self._writing = None, False

    def _close(self) -> None:
        """Close at once; a second time nothing is left to do."""
        self._ignore()
        super()._close()


async def executed(raw: Any, sql: str | bytes, args: Any = None) -> Any:
    """Run *sql* and return psycopg2's cursor, which has the whole result.

    aiopg's own cursor costs as much as a small query, may swallow a
    cancellation that meets the result, and cancels the task when it is the
    server that stopped the statement.
    """
    waiter = raw._create_waiter("execute")
    try:
        cursor = raw._conn.cursor()
        cursor.execute(sql, args)
        raw._ready(raw._weakref)
        if waiter.done():
            await asyncio.sleep(0)  # or else many quick answers would hold up the loop
            waiter.result()
        elif raw._timeout is None:
            await waiter
        else:
            limit = raw._loop.call_later(raw._timeout, _give_up, waiter)
            try:
                await waiter
            finally:
                limit.cancel()
    finally:
        raw._waiter = None
        if waiter.done() and not waiter.cancelled():
            waiter.exception()  # seen, also by a task that was cancelled meanwhile
    return cursor


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(asyncio.TimeoutError())
