"""Defaults of columns, which SQLAlchemy leaves to whoever runs what it has compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

__all__ = ["DefaultContext", "defaults_of", "has_clause_defaults"]

Values = Mapping[str, Any]


class DefaultContext:
    """What a context-sensitive default function is given; SQLAlchemy's names."""

    def __init__(self, compiled: Any, dialect: Dialect, column: Any, values: Values) -> None:
        self.compiled = compiled
        self.dialect = dialect
        self.current_column = column
        self.current_parameters = values
        self.isinsert = bool(compiled.isinsert)
        self.isupdate = bool(compiled.isupdate)

    def get_current_parameters(
        self,
        isolate_multiinsert_groups: bool = True,  # noqa: FBT001, FBT002  # SQLAlchemy's signature
    ) -> dict[str, Any]:
        """Return the values of the row by column key."""
        values = dict(self.current_parameters)
        index = getattr(self.current_column, "index", None)
        if not isolate_multiinsert_groups or not self.compiled.isinsert:
            return values
        # Of several rows in one INSERT, each row's own values are numbered.
        suffix = f"_m{index + 1 if isinstance(index, int) else 0}"
        row = {n.removesuffix(suffix): v for n, v in values.items() if n.endswith(suffix)}
        if isinstance(index, int):
            return row
        return {**{n: v for n, v in values.items() if not re.search(r"_m\d+$", n)}, **row}


def defaults_of(compiled: Any) -> list[tuple[Any, Any]]:
    """Return the columns that get a default, each with that."""
    if compiled.isinsert:
        return [(c, c.default) for c in compiled.insert_prefetch]
    if compiled.isupdate:
        return [(c, c.onupdate) for c in compiled.update_prefetch]
    return []


def has_clause_defaults(compiled: Any) -> bool:
    """Tell whether a default would have to be asked of the server beforehand."""
    return any(d is None or not (d.is_callable or d.is_scalar) for _, d in defaults_of(compiled))
