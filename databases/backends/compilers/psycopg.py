"""The import path of earlier releases for the PostgreSQL compiler."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.base import PGCompiler

__all__ = ["APGCompiler_psycopg2", "PGCompiler_psycopg"]


class PGCompiler_psycopg(PGCompiler):
    """SQLAlchemy's PostgreSQL compiler under the name that programs import."""


class APGCompiler_psycopg2(PGCompiler_psycopg):
    """SQLAlchemy's PostgreSQL compiler under the name that programs import."""
