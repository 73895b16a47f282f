"""Literals: what a value becomes in the text of a statement, on MySQL and MariaDB.

aiomysql and asyncmy write values into the statement. They escape bytes, and
what they turn into text, by backslashes, which a server in the SQL mode
``NO_BACKSLASH_ESCAPES`` does not know, and which in some character sets are the
second half of a character. A value could end its own quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from databases.errors import ConfigurationError

__all__ = ["Literals", "require_charset", "written"]

_MULTIBYTE = frozenset(
    ("big5", "cp932", "euckr", "eucjpms", "gb18030", "gb2312", "gbk", "sjis", "ujis")
)
"""Character sets, UTF-8 apart, in which a character may have a backslash or a quote inside."""
_NO_BACKSLASH_ESCAPES = 0x0200
_LONG = 1 << 20
"""Bytes that are not written in hexadecimal, which is twice as long: a server takes 16 MiB."""
_CURSOR_OPTIONS = ("cursorclass", "cursor_cls", "echo", "query_callback", "stmt_cache_size")
"""Options of the drivers' ``connect()`` that cursors heed."""


class Literals:
    """A connection's methods that write a value as SQL, mixed into the driver's class.

    What the server said of its mode with its last answer is heeded.
    """

    is_plain: bool
    """Whether nothing is asked of its cursors but that they run statements."""
    encoders: Mapping[Any, Callable[..., str]]
    """The driver's, by exact type; programs may add to them."""
    escape_string: Callable[[str], str]
    server_status: int
    _encoding: str

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_plain = not any(map(options.get, _CURSOR_OPTIONS))

    def escape(self, value: Any, mapping: Any = None) -> str:
        """Return *value* as SQL."""
        kind = type(value)
        if kind is str and self._encoding not in _MULTIBYTE:
            return f"'{self.escape_string(value)}'"
        write = _WRITERS.get(kind)
        if write is not None:
            return write(self, value)
        encoders = self.encoders if mapping is None else mapping
        encode = encoders.get(kind)
        return _other(self, value) if encode is None else encode(value, encoders)

    literal = escape


def written(connection: Any, values: Sequence[Any]) -> tuple[str, ...]:
    """Return each of *values* as SQL."""
    escape = connection.escape
    return tuple([str(value) if value.__class__ is int else escape(value) for value in values])


def require_charset(connection: Any, charset: str | bytes) -> None:
    """Raise `ConfigurationError` where the server reads text in *charset* as other than it is.

    A command at the beginning of the session, or the server's own settings, may
    have chosen another character set than the driver knows of.
    """
    name = charset.decode() if isinstance(charset, bytes) else str(charset)
    if name in _MULTIBYTE and name != connection._encoding:
        raise ConfigurationError(
            f"cannot connect: the server reads text as {name!r}, and the driver writes "
            f"{connection._encoding!r}; give charset={name!r} as an option, not by SET NAMES"
        )


def _text(connection: Any, value: str) -> str:
    value = str.__str__(value)  # a class of its own may quote in its own way
    encoding = connection._encoding
    if encoding in _MULTIBYTE and not value.isascii():
        return f"_{encoding} x'{value.encode(encoding).hex()}'"
    return f"'{connection.escape_string(value)}'"


def _binary(connection: Any, value: Any) -> str:
    data = bytes(value)
    if len(data) <= _LONG or connection._encoding in _MULTIBYTE:
        return f"_binary x'{data.hex()}'"
    if not connection.server_status & _NO_BACKSLASH_ESCAPES:
        data = data.replace(b"\\", b"\\\\")
    data = data.replace(b"'", b"''")
    return f"_binary'{data.decode('ascii', 'surrogateescape')}'"


def _sequence(connection: Any, values: Any) -> str:
    return f"({','.join(written(connection, values))})"


def _refuse(*_: Any) -> str:
    raise TypeError(
        "cannot send a dict as a parameter: MySQL has no type for it; give text, such as JSON"
    )


def _other(connection: Any, value: Any) -> str:
    """Write what no encoder knows, as its class does that it is derived from, or as its text."""
    if isinstance(value, str):
        return _text(connection, value)
    if isinstance(value, (bytes, bytearray)):
        return _binary(connection, value)
    return _text(connection, str(value))


_WRITERS: dict[type, Callable[[Any, Any], str]] = {
    str: _text,
    bytes: _binary,
    bytearray: _binary,
    memoryview: _binary,
    tuple: _sequence,
    list: _sequence,
    set: _sequence,
    frozenset: _sequence,
    dict: _refuse,
}
