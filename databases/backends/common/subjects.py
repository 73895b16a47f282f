"""Subjects: what an expression does and to which table, without a look at its text."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy.sql import CompoundSelect, Delete, Insert, Select, TableClause, Update
from sqlalchemy.sql.ddl import ExecutableDDLElement

__all__ = ["UNKNOWN", "Subject", "subject_of"]


class Subject(NamedTuple):
    """What is known of a statement that SQLAlchemy has built."""

    operation: str | None
    """``SELECT``, ``INSERT``, ``CREATE TABLE``, ..."""
    collection: str | None
    """The only table, with its schema if it has one."""


UNKNOWN = Subject(None, None)


def subject_of(query: Any) -> Subject:
    """Return what *query* does; nothing is known of a string and of ``text()``."""
    if isinstance(query, Select):
        sources = query.get_final_froms()
        return Subject("SELECT", _name_of(sources[0]) if len(sources) == 1 else None)
    if isinstance(query, CompoundSelect):
        return Subject("SELECT", None)
    if isinstance(query, (Insert, Update, Delete)):
        return Subject(query.__visit_name__.upper(), _name_of(query.table))
    if isinstance(query, ExecutableDDLElement):
        words = query.__visit_name__.upper().split("_")
        if words[0] in ("CREATE", "DROP"):
            return Subject(" ".join(words), _name_of(getattr(query, "element", None)))
    return UNKNOWN


def _name_of(source: Any) -> str | None:
    # An alias is about the table that it stands for.
    source = getattr(source, "element", source)
    return source.fullname if isinstance(source, TableClause) else None
