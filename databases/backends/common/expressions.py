"""Expressions: what the statements ask of a SQLAlchemy expression before it is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql import ClauseElement, text
from sqlalchemy.sql.cache_key import CacheKey
from sqlalchemy.sql.util import find_tables

__all__ = [
    "KEEPS_PARAMS",
    "PLAIN_TYPES",
    "as_clause",
    "as_expression",
    "cache_key_of",
    "is_value",
    "merged",
    "parameter_names",
    "selected_by",
    "tables_of",
]

Values = Mapping[str, Any]

PLAIN_TYPES: frozenset[type] = frozenset((int, str, float, bytes, type(None)))
"""Types whose values every driver takes as they are."""
KEEPS_PARAMS = "params" in CacheKey._fields
"""Whether ``.params()`` leaves the parameters as they are, as of SQLAlchemy 2.1."""


def as_expression(query: Any) -> Any:
    """Return *query* as an expression, a class of the ORM as the one it stands for."""
    if isinstance(query, ClauseElement):
        return query
    if hasattr(query, "__clause_element__"):
        return query.__clause_element__()
    raise TypeError(
        f"cannot run a query of type {type(query).__name__}; "
        "give a string or a SQLAlchemy expression"
    )


def as_clause(query: Any, values: Values | None) -> ClauseElement:
    """Return *query* with *values* as the SQLAlchemy clause third parties expect."""
    if isinstance(query, str):
        clause: Any = text(query)
        return clause.bindparams(**values) if values else clause  # type: ignore[no-any-return]
    if not values:
        return query  # type: ignore[no-any-return]
    if getattr(query, "is_insert", False) or getattr(query, "is_update", False):
        return query.values(**values)  # type: ignore[no-any-return]
    if hasattr(query, "bindparams"):
        return query.bindparams(**values)  # type: ignore[no-any-return]
    return query.params(**values)  # type: ignore[no-any-return]


def is_value(type_: type) -> bool:
    """Tell whether objects of *type_* are values, and no expressions."""
    return type_ in PLAIN_TYPES or not (
        issubclass(type_, ClauseElement) or hasattr(type_, "__clause_element__")
    )


def cache_key_of(query: Any) -> Any:
    """Return SQLAlchemy's cache key of *query*, None where it has none."""
    try:
        return query._generate_cache_key()
    except SAWarning:
        # A type does not say whether it may be cached, and warnings are errors.
        return None


def parameter_names(cache_key: Any) -> frozenset[str]:
    """Return the names of the parameters that the expression itself has."""
    if cache_key is None:
        return frozenset()
    return frozenset(p.key for p in cache_key.bindparams if not p.unique)


def merged(query: Any, values: Values) -> tuple[Any, Values]:
    """Return an INSERT or UPDATE and *values*, those that have to be made part of it.

    So they have when it has values of its own, which they override, when they
    hold expressions, which are no arguments, and when they are named by
    attributes of a mapped class. Its parameters' values stay values.
    """
    if not (
        query._values
        or query._multi_values
        or getattr(query, "_ordered_values", None)
        or _has_expression(values)
        or (query._propagate_attrs and _has_attributes(query, values))
    ):
        return query, values
    names = parameter_names(cache_key_of(query))
    given = {n: v for n, v in values.items() if n in names and is_value(type(v))}
    own = {n: v for n, v in values.items() if n not in given}
    return (query.values(**own) if own else query), given


def selected_by(query: Any) -> Sequence[Any]:
    """Return what *query* selects, in the order of its result; nothing if it is a text."""
    selected: Sequence[Any] = getattr(query, "_all_selected_columns", ())
    return selected


def tables_of(query: Any) -> set[Table]:
    """Return the tables that *query* is about, those of single columns too."""
    found = find_tables(query, check_columns=True, include_crud=True)
    return {each for each in found if isinstance(each, Table)}


def _has_attributes(query: Any, values: Values) -> bool:
    """Tell whether some of *values* are named otherwise than columns of the mapped class."""
    subject = query._propagate_attrs.get("plugin_subject")
    if subject is None:
        return False
    columns = subject.mapper.columns
    return any(name not in columns or columns[name].key != name for name in values)


def _has_expression(values: Values) -> bool:
    """Tell whether a value is an SQL expression, which is no argument."""
    for value in values.values():  # not any(): it is asked for every insert
        if value.__class__ not in PLAIN_TYPES and not is_value(value.__class__):
            return True
    return False
