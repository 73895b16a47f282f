"""The import path of earlier releases for the PostgreSQL dialect."""

from __future__ import annotations

from databases.backends.dialects.postgresql import PostgreSQLDialect

__all__ = ["PGDialect_psycopg", "dialect"]

PGDialect_psycopg = PostgreSQLDialect
dialect = PostgreSQLDialect
