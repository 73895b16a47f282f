"""Inserts into ``codes`` that may meet a row that is there, in each dialect's words."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

from tests.support.tables import codes

__all__ = ["RAW_IGNORING", "RAW_UPSERT", "ignoring", "upsert"]

_INSERTS: dict[str, Any] = {
    "mysql": mysql.insert,
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
_ON_CONFLICT = "INSERT INTO codes (code) VALUES (:code) ON CONFLICT (code) DO UPDATE SET code = "

RAW_IGNORING = {
    "postgresql": "INSERT INTO codes (code) VALUES (:code) ON CONFLICT DO NOTHING",
    "sqlite": "INSERT OR IGNORE INTO codes (code) VALUES (:code)",
    "mysql": "INSERT IGNORE INTO codes (code) VALUES (:code)",
}
RAW_UPSERT = {
    "postgresql": _ON_CONFLICT,
    "sqlite": _ON_CONFLICT,
    "mysql": "INSERT INTO codes (code) VALUES (:code) ON DUPLICATE KEY UPDATE code = ",
}
"""What the code becomes is to be added."""


def ignoring(dialect: str, **values: Any) -> Any:
    """Return an insert of *values* that does nothing where the code is there."""
    query = _INSERTS[dialect](codes).values(**values)
    return query.prefix_with("IGNORE") if dialect == "mysql" else query.on_conflict_do_nothing()


def upsert(dialect: str, became: Any, **values: Any) -> Any:
    """Return an insert of *values* that makes the code *became* where it is there."""
    query = _INSERTS[dialect](codes).values(**values) if values else _INSERTS[dialect](codes)
    if dialect == "mysql":
        return query.on_duplicate_key_update(code=became)
    return query.on_conflict_do_update(index_elements=["code"], set_={"code": became})
