"""Arrived: small results that asyncmy has received whole, read at once.

asyncmy makes an object of each column's description, for each result anew,
which is the larger part of reading one row. Here the columns of a result are
known by their bytes. Whatever else arrives is read by asyncmy's own code.
"""

from __future__ import annotations

import functools
from typing import Any

from databases.backends.dialects.literals import Literals
from databases.importer import import_driver

__all__ = ["connection_class"]

asyncmy: Any = import_driver("asyncmy")
_connection: Any = import_driver("asyncmy.connection")
_protocol: Any = import_driver("asyncmy.protocol")

_DEPRECATE_EOF = 1 << 24
_MORE_RESULTS = 1 << 3
_END = 0xFE
_MOST_COLUMNS = 0xFA
"""Columns whose number takes one byte."""
_SMALL = 16 * 1024
"""Bytes beyond which the columns do not matter, and half a result may be read twice."""
_LAYOUTS = 256
"""Results whose columns are remembered, per connection."""


class SafeConnection(Literals, asyncmy.Connection):  # type: ignore[misc]  # it has no types
    """asyncmy's connection, whose values cannot end their own quotes, nor results early."""

    # Programs tell the drivers apart by the module of this class.
    __module__ = asyncmy.Connection.__module__

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.encoders = self._encoders

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        # Without that other packet at the end of a result, for which asyncmy
        # takes a row whose first value has 16 MiB or more, its rest unread.
        self.server_capabilities &= ~_DEPRECATE_EOF


class QuickConnection(SafeConnection):
    """asyncmy's connection, quick with small results of columns that it knows."""

    __module__ = asyncmy.Connection.__module__

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._layouts: dict[Any, tuple[list[Any], tuple[Any, ...], tuple[Any, ...]]] = {}

    async def _read_query_result(self, unbuffered: bool = False) -> None:  # noqa: FBT001, FBT002
        protocol = self._proto
        if unbuffered or protocol is None:
            await super()._read_query_result(unbuffered=unbuffered)
            return
        if protocol.length == protocol.pos:
            await self._fill_buffer(4)
        key, stop, number = self._arrived_columns()
        if key is not None:
            known = self._layouts.get(key)
            if known is not None and self._take(known, stop, number):
                return
        await super()._read_query_result()
        if key is not None and known is None:
            result = self._result
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = result.fields, tuple(result.converters), result.description

    def _arrived_columns(self) -> tuple[Any, int, int]:
        """Return what tells the columns that have arrived, where they end, and what follows.

        Nothing tells them where they have not arrived, or what comes is no result.
        """
        protocol, number = self._proto, self._next_seq_id
        buffer, start, length = protocol.buffer, protocol.pos, protocol.length
        if not 5 < length - start <= _SMALL or buffer[start : start + 3] != b"\x01\0\0":
            return None, start, number
        count = buffer[start + 4]
        if not 0 < count <= _MOST_COLUMNS:
            return None, start, number
        # The count itself, the columns, and the packet that ends them.
        stop, following, skipped = _protocol.skip_packets_from_buffer(
            buffer, start, length, number, count + 2
        )
        if skipped < count + 2:
            return None, start, number
        return (bytes(buffer[start:stop]), self._encoding), stop, following

    def _take(self, known: tuple[Any, Any, Any], start: int, number: int) -> bool:
        """Take the rows, whose columns are *known*, if the result has arrived whole."""
        protocol = self._proto
        buffer, length = protocol.buffer, protocol.length
        fields, converters, description = known
        rows: list[tuple[Any, ...]] = []
        stop, following = _protocol.parse_rows_from_buffer(
            buffer, start, length, converters, number, rows
        )
        end = buffer[stop : stop + 9]
        if len(end) < 9 or stop + 9 > length or end[:5] != bytes((5, 0, 0, following, _END)):
            return False
        protocol.pos = stop + 9
        self._next_seq_id = (following + 1) & 0xFF
        result = _connection.MySQLResult(self)
        result.connection = None
        result.field_count = len(fields)
        result.fields, result.description = fields, description
        result.rows, result.affected_rows = tuple(rows), len(rows)
        result.warning_count = end[5] | end[6] << 8
        self.server_status = end[7] | end[8] << 8
        result.has_next = self.server_status & _MORE_RESULTS
        self._result, self._affected_rows = result, len(rows)
        return True


@functools.cache
def connection_class() -> Any:
    """Return the quick class, or the plain one where asyncmy's insides look otherwise."""
    known = (
        all(hasattr(_protocol, f"{name}_from_buffer") for name in ("skip_packets", "parse_rows"))
        and all(
            hasattr(asyncmy.Connection, name)
            for name in ("_proto", "_next_seq_id", "_fill_buffer", "_read_query_result")
        )
        and hasattr(_connection, "MySQLResult")
    )
    return QuickConnection if known else SafeConnection
