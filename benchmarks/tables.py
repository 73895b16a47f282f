"""The tables that every contender reads and writes, and the rows in them."""

from __future__ import annotations

import datetime
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import CreateTable

__all__ = [
    "ITEMS",
    "LOG_ROWS",
    "groups",
    "item_rows",
    "items",
    "log",
    "log_row",
    "numbers",
    "schema",
    "styled",
    "texts",
]

ITEMS = 10_000
"""Rows of the table that is read."""
READ = 1000
"""Rows that one `fetch_all` reads."""
_EPOCH = datetime.datetime(2024, 1, 1)  # noqa: DTZ001  # columns without time zone

metadata = sa.MetaData()
items = sa.Table(
    "bench_items",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("amount", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created", sa.DateTime, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)
log = sa.Table(
    "bench_log",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("amount", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
)
groups = sa.Table(
    "bench_groups",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(100), nullable=False),
)

# One text each, with `:name` parameters; `styled` writes it for a driver.
COLUMNS = "id, name, amount, active, created, data"
ONE = f"SELECT {COLUMNS} FROM bench_items WHERE id = :id"
PAGE = f"SELECT {COLUMNS} FROM bench_items WHERE id <= :last ORDER BY id"
STREAM = "SELECT id, name, amount FROM bench_items ORDER BY id"
JOIN = (
    "SELECT bench_items.id, bench_items.name, bench_groups.title FROM bench_items "
    "JOIN bench_groups ON bench_groups.id = bench_items.amount "
    "WHERE bench_items.id > :first AND bench_groups.title != :title "
    "ORDER BY bench_items.id LIMIT 10"
)
INSERT = "INSERT INTO bench_log (name, amount, active) VALUES (:name, :amount, :active)"
LOGGED = "SELECT id, name, amount, active FROM bench_log WHERE id = :id"
LOG = "SELECT name, amount, active FROM bench_log ORDER BY id"
MANY = (
    "SELECT a.id, a.name, a.amount, b.id AS other FROM bench_items a "
    "CROSS JOIN bench_items b WHERE b.id <= :times AND a.id <= :last"
)


def texts(style: str) -> tuple[str, str, str, str, str, str]:
    """Return ONE, PAGE, STREAM, JOIN, INSERT and LOGGED for a driver."""
    one, page, stream, join, insert, logged = (
        styled(sql, style) for sql in (ONE, PAGE, STREAM, JOIN, INSERT, LOGGED)
    )
    return one, page, stream, join, insert, logged


def item_rows() -> list[dict[str, Any]]:
    """Return the rows that are read; what they hold never changes."""
    return [
        {
            "id": number,
            "name": f"item {number}",
            "amount": number % 100 + 1,
            "active": number % 3 == 0,
            "created": _EPOCH + datetime.timedelta(minutes=number),
            "data": {"rank": number, "tags": ["red", "round"]},
        }
        for number in range(1, ITEMS + 1)
    ]


LOG_ROWS = [{"name": f"entry {number}", "amount": number, "active": True} for number in range(1000)]
"""Rows to insert, as an application has them."""


def log_row(number: int) -> dict[str, Any]:
    """Return one row to insert."""
    return LOG_ROWS[number % 1000]


def log_values(number: int) -> tuple[Any, ...]:
    """Return one row to insert, as a driver takes it."""
    row = LOG_ROWS[number % 1000]
    return row["name"], row["amount"], row["active"]


def schema(dialect: Dialect) -> list[str]:
    """Return the statements that make the tables anew."""
    tables = (items, log, groups)
    return [
        *(f"DROP TABLE IF EXISTS {table.name}" for table in tables),
        *(str(CreateTable(table).compile(dialect=dialect)) for table in tables),
    ]


def styled(sql: str, style: str) -> str:
    """Write the parameters of *sql* as a driver wants them; *style* is PEP 249's."""
    marks = {"qmark": "?", "format": "%s"}
    if style in marks:
        return re.sub(r":\w+", marks[style], sql)
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[0] not in names:
            names.append(match[0])
        return f"${names.index(match[0]) + 1}"

    return re.sub(r":\w+", number, sql)


_NUMBERS = [index * 389 % READ + 1 for index in range(20_000)]


def numbers(count: int) -> list[int]:
    """Return the keys that *count* reads ask for, all over the table."""
    return _NUMBERS[:count]
