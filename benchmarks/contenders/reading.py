"""How rows are asked for in many tasks, and read once there; the same for every contender."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

__all__ = [
    "by_attribute",
    "by_name",
    "by_name_decoding",
    "by_position_decoding",
    "in_tasks",
    "whole",
]


async def in_tasks(read: Callable[[int], Awaitable[Any]], count: int) -> Any:
    """Have 200 tasks *read* 20 rows each, *count* times; return what the last one read."""
    answers: list[Any] = []
    for _ in range(count):
        answers = await asyncio.gather(*(read(20) for _ in range(200)))
    return answers[-1]


def by_name(rows: Iterable[Any]) -> Any:
    """Read every value by name; return the last row's."""
    values: Any = ()
    for row in rows:
        values = (
            row["id"],
            row["name"],
            row["amount"],
            row["active"],
            row["created"],
            row["data"],
        )
    return values


def by_attribute(rows: Iterable[Any]) -> Any:
    """Read every value by attribute; return the last row's."""
    values: Any = ()
    for row in rows:
        values = (row.id, row.name, row.amount, row.active, row.created, row.data)
    return values


def by_name_decoding(rows: Iterable[Any]) -> Any:
    """Read every value by name and decode the JSON, for drivers that leave it as text."""
    values: Any = ()
    for row in rows:
        values = (
            row["id"],
            row["name"],
            row["amount"],
            row["active"],
            row["created"],
            json.loads(row["data"]),
        )
    return values


def by_position_decoding(rows: Iterable[Any]) -> Any:
    """Read every value by position and decode the JSON."""
    values: Any = ()
    for row in rows:
        values = (row[0], row[1], row[2], row[3], row[4], json.loads(row[5]))
    return values


def whole(row: Any) -> Any:
    """Return a row whose last value is JSON text, decoded."""
    return (*row[:5], json.loads(row[5]))
