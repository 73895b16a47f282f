"""Packets: what aiomysql reads from the server, without a coroutine for each packet.

aiomysql awaits the head and the body of every packet, and a row is a packet.
What has arrived already is taken here from the stream's buffer as it is; only
what has not is awaited, by aiomysql's own code. Values are the same.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import sys
from collections.abc import Awaitable, Callable
from operator import methodcaller
from types import FunctionType
from typing import Any

from databases.backends.dialects.literals import Literals
from databases.importer import import_driver

__all__ = ["connection_class"]

aiomysql: Any = import_driver("aiomysql")
_connections: Any = aiomysql.connection
_converters: Any = import_driver("pymysql", extra="aiomysql").converters

Decoder = Callable[[bytes], Any]

_LONGEST = 0xFFFFFF
"""Length of a packet that goes on in the next one."""
_NULL, _ERROR, _END = 0xFB, 0xFF, 0xFE
_WIDTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""Bytes that the length of a value takes, where it is not one."""
_LAYOUTS = 256
"""Results whose columns are remembered, per connection."""


@functools.cache
def connection_class() -> Any:
    """Return the quick class, or one like aiomysql's where its insides look otherwise."""
    result = getattr(_connections, "MySQLResult", None)
    known = (
        all(hasattr(aiomysql.Connection, name) for name in ("_read_packet", "_read_query_result"))
        and all(hasattr(result, name) for name in ("_get_descriptions", "_read_rowdata_packet"))
        and hasattr(asyncio.StreamReader, "_maybe_resume_transport")
    )
    return QuickConnection if known else PlainConnection


class PlainConnection(Literals, aiomysql.Connection):  # type: ignore[misc]  # it has no types
    """aiomysql's connection, whose values cannot end their own quotes."""

    # Programs tell the drivers apart by the module of this class.
    __module__ = aiomysql.Connection.__module__

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What measures a program may do so in the cursors' methods.
        self.is_plain = self.is_plain and _are_as_written(
            (aiomysql.Connection, "cursor"),
            (aiomysql.Cursor, "execute"),
            (aiomysql.Cursor, "_query"),
        )


class QuickConnection(PlainConnection):
    """aiomysql's connection, quick with what has arrived."""

    __module__ = aiomysql.Connection.__module__

    async def _read_packet(self, packet_type: Any = _connections.MysqlPacket) -> Any:
        reader = self._reader
        buffer = reader._buffer
        if reader._exception is None and len(buffer) >= 4:
            length = buffer[0] | buffer[1] << 8 | buffer[2] << 16
            stop = length + 4
            if (
                0 < length < _LONGEST
                and len(buffer) >= stop
                and buffer[3] == self._next_seq_id
                and buffer[4] != _ERROR
            ):
                data = bytes(buffer[4:stop])
                self._took(stop, (self._next_seq_id + 1) % 256)
                return packet_type(data, self._encoding)
        return await super()._read_packet(packet_type)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._layouts: dict[Any, tuple[Any, Any, Any]] = {}

    async def _read_query_result(self, unbuffered: bool = False) -> None:  # noqa: FBT001, FBT002
        if unbuffered:
            await super()._read_query_result(unbuffered=True)
            return
        self._result = None
        result = _QuickResult(self)
        await result.read()
        self._result = result
        self._affected_rows = result.affected_rows
        if result.server_status is not None:
            self.server_status = result.server_status

    def arrived(self, count: int) -> bytes | None:
        """Return the next *count* packets as they are, None when they have not all arrived."""
        data = bytes(self._reader._buffer)
        stop = 0
        for number in range(self._next_seq_id, self._next_seq_id + count):
            if stop + 4 > len(data) or data[stop + 3] != number % 256:
                return None
            length = data[stop] | data[stop + 1] << 8 | data[stop + 2] << 16
            stop += 4 + length
            if stop > len(data) or length == _LONGEST:
                return None
        return data[:stop] if self._reader._exception is None else None

    async def read_layout(self, result: Any, read: Callable[[], Awaitable[None]]) -> None:
        """Tell *result* about its columns; *read* works it out where it is not known."""
        count = result.field_count + 1  # and the packet that ends them
        packets = self.arrived(count)
        key = (packets, self.encoding)
        known = self._layouts.get(key)
        if packets is not None and known is not None:
            result.fields, result.converters, result.description = known
            self._took(len(packets), (self._next_seq_id + count) % 256)
            return
        await read()
        if packets is not None:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = (result.fields, result.converters, result.description)

    def take_rows(self, decoders: list[Decoder], rows: list[tuple[Any, ...]]) -> None:
        """Add to *rows* those that have arrived whole."""
        reader = self._reader
        if reader._exception is not None or len(reader._buffer) < 5:
            return
        data = bytes(reader._buffer)
        end, start, number = len(data), 0, self._next_seq_id
        while start + 5 <= end:
            length = data[start] | data[start + 1] << 8 | data[start + 2] << 16
            stop = start + 4 + length
            if stop > end or length == _LONGEST or not length or data[start + 3] != number:
                break
            first = data[start + 4]
            if first == _ERROR or (first == _END and length < 9):
                break
            rows.append(_row(data, start + 4, stop, decoders))
            number = (number + 1) % 256
            start = stop
        if start:
            self._took(start, number)

    def _took(self, size: int, following: int) -> None:
        del self._reader._buffer[:size]
        self._reader._maybe_resume_transport()
        self._next_seq_id = following


def _are_as_written(*methods: tuple[type, str]) -> bool:
    """Tell whether nobody has replaced any of *methods*, each a class and a name."""
    for cls, name in methods:
        method = vars(cls).get(name)
        file = sys.modules[cls.__module__].__file__
        if method.__class__ is not FunctionType or method.__code__.co_filename != file:
            return False
    return True


class _QuickResult(_connections.MySQLResult):  # type: ignore[misc]  # as above
    async def _get_descriptions(self) -> None:
        await self.connection.read_layout(self, super()._get_descriptions)

    async def _read_rowdata_packet(self) -> None:
        decoders = [_decoder(encoding, converter) for encoding, converter in self.converters]
        rows: list[tuple[Any, ...]] = []
        connection: Any = self.connection
        while True:
            connection.take_rows(decoders, rows)
            packet = await connection._read_packet()
            if self._check_packet_is_eof(packet):
                break
            rows.append(self._read_row_from_packet(packet))
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


def _row(data: bytes, position: int, stop: int, decoders: list[Decoder]) -> tuple[Any, ...]:
    row: list[Any] = []
    for decode in decoders:
        if position >= stop:
            break
        size = data[position]
        position += 1
        if size >= _NULL:
            if size == _NULL:
                row.append(None)
                continue
            width = _WIDTHS[size]
            size = int.from_bytes(data[position : position + width], "little")
            position += width
        row.append(decode(data[position : position + size]))
        position += size
    return tuple(row)


def _decoder(encoding: str | None, converter: Callable[[Any], Any] | None) -> Decoder:
    """Return what gives the value that aiomysql would give."""
    if encoding is None:
        return bytes if converter is None else converter
    decode = methodcaller("decode", encoding)
    if converter is None:
        return decode
    if encoding == "ascii":
        if converter in (int, float):
            return converter  # both take bytes
        if converter is _converters.convert_datetime:
            return _moment
    return lambda data: converter(decode(data))


def _moment(data: bytes) -> Any:
    text = data.decode("ascii")
    if len(text) in (19, 26):
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            pass  # zeros, which are no date
    return _converters.convert_datetime(text)
