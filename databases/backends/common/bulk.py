"""Bulk: the arguments of many rows for one statement, worked out column by column."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple

__all__ = ["ROWS", "Source", "arguments_of", "chunks"]

ROWS = 1000
"""Rows that are bound, and handed to the driver, at a time."""

Values = Mapping[str, Any]


class Source(NamedTuple):
    """Where one argument of each row comes from."""

    key: str | None
    """Its name among the row's values; None: the same *constant* for all rows."""
    constant: Any
    convert: Callable[[Any], Any] | None
    keeps: frozenset[type]
    """Types whose values *convert* leaves as they are."""


def chunks(rows: Iterable[Values]) -> Iterator[list[Values]]:
    """Yield *rows* in lists of up to `ROWS`."""
    source = iter(rows)
    while chunk := list(islice(source, ROWS)):
        yield chunk


def arguments_of(
    rows: Sequence[Values],
    sources: Sequence[Source],
    width: int,
    accepts: Callable[[type], bool],
) -> list[tuple[Any, ...]] | None:
    """Return the arguments of each of *rows*, or None where each wants a look of its own.

    So they do unless all have the *width* values that *sources* name, of types
    that are no expressions: *accepts* says so of each type that occurs.
    """
    keys = [source.key for source in sources if source.key is not None]
    if not keys:
        return None
    # Of one key alone, itemgetter gives no tuple.
    pick = itemgetter(*keys) if len(keys) > 1 else lambda row: (row[keys[0]],)
    try:
        if set(map(len, rows)) != {width}:
            return None
        found = list(map(pick, rows))
    except (KeyError, TypeError):
        return None
    given = zip(*found, strict=True)
    columns: list[Iterable[Any]] = []
    is_changed = False
    for source in sources:
        if source.key is None:
            columns.append(repeat(source.constant, len(rows)))
            is_changed = True
            continue
        column = next(given)
        types = set(map(type, column))
        if not all(map(accepts, types)):
            return None
        if source.convert is not None and not types <= source.keeps:
            column = tuple(map(source.convert, column))
            is_changed = True
        columns.append(column)
    return list(zip(*columns, strict=True)) if is_changed else found
