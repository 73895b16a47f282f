"""What is done with rows once they are there; the same code for every contender."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["by_attribute", "by_name", "by_name_decoding", "by_position_decoding", "whole"]


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
