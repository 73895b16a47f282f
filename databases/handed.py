"""Handed: the form in which a backend is handed a query, ours or a third party's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ClauseElement

from databases.backends.common.backend import CommonConnection
from databases.backends.common.expressions import as_clause
from databases.backends.common.statements import Query
from databases.interfaces import ConnectionBackend

__all__ = ["is_ours", "prepared"]


def is_ours(backend: ConnectionBackend, verb: str) -> bool:
    """Tell whether *backend* runs *verb* as this library wrote it.

    What programs override or patch is handed a SQLAlchemy clause instead.
    """
    cls: Any = type(backend)
    common: Any = CommonConnection
    return (
        isinstance(backend, CommonConnection)
        and getattr(cls, verb) is getattr(common, verb)
        and cls._compile is common._compile
        and verb not in backend.__dict__
    )


def prepared(backend: ConnectionBackend, query: ClauseElement | str, values: Any) -> Any:
    """Return *query* with *values* in the form that *backend* takes."""
    cls: Any = type(backend)
    common: Any = CommonConnection
    if isinstance(backend, CommonConnection) and (
        cls.fetch_all is common.fetch_all
        and cls.fetch_one is common.fetch_one
        and cls.fetch_val is common.fetch_val
        and cls.execute is common.execute
        and cls._compile is common._compile
    ):
        return Query(query, values)
    return as_clause(query, values)
