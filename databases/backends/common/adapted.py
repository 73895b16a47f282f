"""Adapted rows: one plan serves many expressions, and each reads rows by its own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from databases.backends.common.expressions import selected_by
from databases.backends.common.plans import Plan
from databases.backends.common.records import FastRecord, Layout, look_up, record_class

__all__ = ["AdaptedPlan"]


class AdaptedPlan(Plan):
    """The plan *base* of an expression, for *query*: another one with its cache key."""

    __slots__ = ("_base", "_query")

    def __init__(self, base: Plan, query: Any) -> None:
        for name in Plan.__slots__:
            setattr(self, name, getattr(base, name))
        self._base = base
        self._query = query

    def layout_for(self, names: Sequence[str]) -> Layout:
        """Return the layout of a result with the columns *names*."""
        base = self._base.layout_for(names)
        planned = None if self.core is None else self.core.statement
        return _AdaptedLayout(base, _Columns(self._query, planned, base.record))


class _Columns:
    """Where the columns of *query* are in the rows of *planned*: found out once it is asked."""

    __slots__ = ("_keys", "_planned", "_query", "_record")

    def __init__(self, query: Any, planned: Any, record: type[FastRecord]) -> None:
        self._query = query
        self._planned = planned
        self._record = record
        self._keys: Mapping[Any, int] | None = None

    @property
    def keys(self) -> Mapping[Any, int]:
        """Every look-up key, names too, with its place."""
        if self._keys is None:
            known = self._record._keys
            pairs = zip(selected_by(self._query), selected_by(self._planned), strict=False)
            own = {column: known[planned] for column, planned in pairs if planned in known}
            self._keys = {**own, **_names_in(known)}
        return self._keys


class _AdaptedLayout(Layout):
    """A layout whose rows know the columns of the query that was run."""

    __slots__ = ("_columns",)

    def __init__(self, base: Layout, columns: _Columns) -> None:
        self.names, self.converters = base.names, base.converters
        if base.adapted is None:
            # What was compiled may have the same objects in another order.
            keys = _names_in(base.record._keys)
            base.adapted = record_class(base.names, keys, _AdaptedRecord)
        self.record = base.adapted
        self._columns = columns

    def row(self, values: Sequence[Any]) -> FastRecord:
        """Return one record of *values*, converted."""
        record: Any = super().row(values)
        record._columns = self._columns
        return record  # type: ignore[no-any-return]

    def all(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return a record for each of *rows*, a list of which is made the result itself."""
        records, columns = super().all(rows), self._columns
        for record in records:
            record._columns = columns
        return records


class _AdaptedRecord(FastRecord):
    __slots__ = ("_columns",)

    _columns: _Columns

    def _find(self, key: Any) -> Any:
        return look_up(self._data, self._columns.keys, key)


def _names_in(keys: Mapping[Any, int]) -> Mapping[Any, int]:
    return {key: place for key, place in keys.items() if isinstance(key, (str, int))}
