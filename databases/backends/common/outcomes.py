"""Outcomes: a `Result` of what a driver tells, and of what a third party's verbs give."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql.elements import TextClause

from databases.backends.common.driver import Fetched, Outcome
from databases.backends.common.kinds import Kind, kind_of, returns_rows
from databases.backends.common.plans import BoundStatement
from databases.interfaces import ConnectionBackend
from databases.results import Result

__all__ = ["result_of", "run_by_verbs"]


def result_of(bound: BoundStatement, fetched: Fetched, outcome: Outcome) -> Result:
    """Return what *bound* did: its rows if it has any, and what the driver counts."""
    plan, core = bound.plan, bound.plan.core
    rows = plan.layout_for(fetched.names).all(fetched.rows) if fetched.rows else []
    count = len(rows) if plan.returns_rows else outcome.row_count
    if count is not None and count < 0:
        count = None
    last_id = key = None
    # Where nothing was inserted, some drivers tell the id of an earlier row.
    if plan.kind is Kind.INSERT and count:
        last_id = outcome.last_id or None
        key = None if core is None or count != 1 else _key_of(bound, rows, last_id)
    if core is not None and core.returns_only_key:
        rows = []
    return Result(count, last_id, key, rows)


def _key_of(bound: BoundStatement, rows: list[Any], last_id: int | None) -> tuple[Any, ...] | None:
    core: Any = bound.plan.core
    key = []
    for position, column in enumerate(core.key_columns):
        value = rows[0]._mapping.get(column) if rows else None
        # An upsert may have met another row than the one it was given.
        if value is None and not core.is_upsert:
            value = bound.keys[position] if bound.keys else None
            if value is None and column is column.table.autoincrement_column:
                value = last_id
        if value is None:
            return None
        key.append(value)
    return tuple(key) or None


async def run_by_verbs(backend: ConnectionBackend, clause: Any) -> Result:
    """Run *clause* by the verbs every backend has; they tell the rows and nothing else."""
    if _answers_with_rows(clause):
        rows = list(await backend.fetch_all(clause))
        return Result(len(rows), None, None, rows)
    await backend.execute(clause)
    return Result(None, None, None, [])


def _answers_with_rows(clause: Any) -> bool:
    if isinstance(clause, TextClause):
        return returns_rows(clause.text, kind_of(clause.text))
    return bool(getattr(clause, "is_select", False) or getattr(clause, "_returning", ()))
