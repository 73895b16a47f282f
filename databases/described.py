"""Described: what listeners are told of a query, known before it runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.elements import TextClause

from databases.backends.common.kinds import Kind
from databases.backends.common.plans import BoundStatement, Plan
from databases.backends.common.statements import Query
from databases.backends.common.subjects import UNKNOWN, Subject, subject_of
from databases.results import Result

__all__ = ["Described", "described", "of_bound", "row_count"]


class Described(NamedTuple):
    """A query and what is known of it."""

    query: Any
    """What the backend is given: bound already where it is ours."""
    known: dict[str, Any]
    """Fields of a `QueryEvent`."""
    plan: Plan | None = None


def described(backend: Any, query: Any) -> Described:
    """Bind *query* where *backend* is ours, and say what it is."""
    if query.__class__ is Query:
        return of_bound(backend._compile(query), query.query)
    if isinstance(query, TextClause):
        return Described(query, _known(query.text, UNKNOWN, has_args=bool(query._bindparams)))
    try:
        sql = str(query.compile(dialect=getattr(backend, "_dialect", None)))
    except Exception:  # noqa: BLE001  # the backend compiles it in its own way
        sql = type(query).__name__
    return Described(query, _known(sql, subject_of(query), has_args=True))


def of_bound(bound: BoundStatement, query: Any) -> Described:
    """Say what *bound* is, which was made of *query*."""
    plan = bound.plan
    subject = plan.subject
    if subject is None:
        if not isinstance(query, (str, ClauseElement)):
            query = query.__clause_element__()
        subject = plan.subject = subject_of(query)
    return Described(bound, _known(bound.sql, subject, has_args=bool(bound.args)), plan)


def row_count(verb: str, result: Any, plan: Plan | None) -> int | None:
    """Return the rows that *result*, of *verb*, tells of; None where it does not."""
    if isinstance(result, list):
        return len(result)
    if isinstance(result, Result):
        return result.rowcount
    if verb == "fetch_one":
        return 0 if result is None else 1
    if verb == "execute" and plan is not None and plan.kind is Kind.UPDATE:
        return result if isinstance(result, int) and not plan.returns_rows else None
    return None


def _known(sql: str, subject: Subject, *, has_args: bool) -> dict[str, Any]:
    return {
        "sql": sql,
        "is_parameterized": has_args,
        "operation": subject.operation,
        "collection": subject.collection,
    }
