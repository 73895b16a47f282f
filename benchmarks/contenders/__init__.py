"""The contenders: the same workloads as each library's documentation writes them.

A contender has one method per workload. It does it *count* times and returns
the last answer; a workload that only writes returns None, and what it left in
the log table is compared instead.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["MODULES", "make_contender"]

RAW = {
    "sqlite": "raw_sqlite",
    "asyncpg": "raw_asyncpg",
    "psycopg": "raw_psycopg",
    "aiopg": "raw_aiopg",
    "aiomysql": "raw_mysql",
    "asyncmy": "raw_mysql",
}
MODULES = {"facade": "facade", "sqlalchemy": "sqlalchemy_core", "tortoise": "tortoise_orm"}


def make_contender(kind: str, backend: str) -> Any:
    """Return the contender *kind* for *backend*, not opened yet.

    Raises `ImportError` when it is not installed and `LookupError` when it
    has nothing for that backend.
    """
    name = RAW[backend] if kind == "raw" else MODULES[kind]
    module = importlib.import_module(f"{__name__}.{name}")
    return module.make(backend)
