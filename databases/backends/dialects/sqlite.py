"""SQLAlchemy's SQLite dialect, as aiosqlite wants it."""

from __future__ import annotations

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect

__all__ = ["make_dialect"]


def make_dialect() -> Dialect:
    """Return the dialect of the SQLite driver."""
    dialect: Dialect = SQLiteDialect_pysqlite(paramstyle="qmark")
    return dialect
