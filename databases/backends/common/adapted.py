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
        return _AdaptedLayout(base, self._query, planned)


class _AdaptedLayout(Layout):
    """The layout *base* of what *planned* selects, for rows with the columns of *query*."""

    __slots__ = ("_keys", "_known", "_planned", "_query")

    def __init__(self, base: Layout, query: Any, planned: Any) -> None:
        self.names, self.converters = base.names, base.converters
        self._known = base.record._keys
        if base.adapted is None:
            # What was compiled may have the same objects in another order.
            names = {key: at for key, at in self._known.items() if isinstance(key, (str, int))}
            base.adapted = record_class(base.names, names, _AdaptedRecord)
        self.record = base.adapted
        self._query, self._planned = query, planned
        self._keys: Mapping[Any, int] | None = None

    @property
    def keys(self) -> Mapping[Any, int]:
        """Every look-up key with its place; found out once a row is asked for a column."""
        if self._keys is None:
            known = self._known
            pairs = zip(selected_by(self._query), selected_by(self._planned), strict=False)
            own = {column: known[planned] for column, planned in pairs if planned in known}
            self._keys = {**own, **self.record._keys}
        return self._keys

    def row(self, values: Sequence[Any]) -> FastRecord:
        """Return one record of *values*, converted."""
        record: Any = super().row(values)
        record._layout = self
        return record  # type: ignore[no-any-return]

    def all(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return a record for each of *rows*, a list of which is made the result itself."""
        records = super().all(rows)
        for record in records:
            record._layout = self
        return records


class _AdaptedRecord(FastRecord):
    __slots__ = ("_layout",)

    _layout: _AdaptedLayout

    def _find(self, key: Any) -> Any:
        return look_up(self._data, self._layout.keys, key)
