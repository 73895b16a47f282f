"""Converters: what SQLAlchemy's column types do to values, the commonest made quick.

A converter here gives what the type's own processor gives. It is quick for the
values that nearly always come, and hands all others to the processor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import sqltypes

__all__ = ["Converter", "bind_converter", "converted", "kept_types", "result_converter"]

Converter = Callable[[Any], Any]

_CHUNK = 500
"""Rows that are turned into columns and back at a time."""
_BOOLEANS = frozenset((bool, type(None)))
_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


def result_converter(type_: Any, dialect: Dialect) -> Converter | None:
    """Return what turns a driver's value into that of column type *type_*, None for nothing."""
    process: Converter | None = type_._cached_result_processor(dialect, None)
    if process is None or getattr(dialect, "_json_deserializer", None) is not None:
        return process
    own = type_.dialect_impl(dialect)
    if isinstance(own, sqltypes.JSON) and _is_stock(own, "result_processor"):
        return _json_converter(process)
    return process


def bind_converter(process: Converter | None, type_: Any, dialect: Dialect) -> Converter | None:
    """Return what turns a value of *type_* into the driver's; *process* is the type's own."""
    if process is None:
        return None
    own = type_.dialect_impl(dialect)
    if isinstance(own, sqltypes.Boolean) and _is_stock(own, "bind_processor"):
        return _boolean_converter(process)
    return process


def kept_types(convert: Converter | None) -> frozenset[type]:
    """Return the types whose values *convert* leaves as they are, as far as is known."""
    kept: frozenset[type] = getattr(convert, "keeps", frozenset())
    return kept


def converted(
    rows: Sequence[Sequence[Any]], converters: Sequence[tuple[int, Converter]]
) -> Iterator[tuple[Any, ...]]:
    """Return an iterator over *rows* with the columns that have a converter converted."""
    return chain.from_iterable(_chunks(iter(rows), converters))


def _chunks(
    rows: Iterator[Sequence[Any]], converters: Sequence[tuple[int, Converter]]
) -> Iterator[Iterable[tuple[Any, ...]]]:
    # By column, the loops over rows are the interpreter's own.
    while columns := list(zip(*islice(rows, _CHUNK), strict=True)):
        for index, convert in converters:
            columns[index] = tuple(map(convert, columns[index]))
        yield zip(*columns, strict=True)


def _is_stock(type_: Any, method: str) -> bool:
    """Tell whether *method* is SQLAlchemy's or ours, and not a program's."""
    module: str = getattr(type(type_), method).__module__
    return module.startswith(("sqlalchemy.", "databases."))


def _json_converter(process: Converter) -> Converter:
    def convert(value: Any) -> Any:
        if value.__class__ is str:
            try:
                decoded, end = _scan(value, 0)
            except (ValueError, StopIteration):
                return process(value)  # space before it, or no JSON at all
            if end == len(value):
                return decoded
        return process(value)

    return convert


def _boolean_converter(process: Converter) -> Converter:
    def convert(value: Any) -> Any:
        # The drivers take these as they are, SQLite's and MySQL's as numbers.
        return value if value.__class__ in _BOOLEANS else process(value)

    convert.keeps = _BOOLEANS  # type: ignore[attr-defined]  # read by kept_types
    return convert
