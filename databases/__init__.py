"""Async access to PostgreSQL, MySQL, MariaDB and SQLite."""

from databases.core import Database, DatabaseURL

__version__ = "0.9.1"
__all__ = ["Database", "DatabaseURL"]
