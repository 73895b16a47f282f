"""Async access to PostgreSQL, MySQL, MariaDB and SQLite."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databases.core import Database, DatabaseURL

__version__ = "0.9.1"
__all__ = ["Database", "DatabaseURL"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Late, because every run of pytest imports this package for its
        # plugin, and most of those runs have no use for SQLAlchemy.
        if name in __all__:
            core = import_module("databases.core")
            globals().update(Database=core.Database, DatabaseURL=core.DatabaseURL)
            return globals()[name]
        module = f"{__name__}.{name}"
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
