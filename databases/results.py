"""Result: all that is known of what a statement did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from databases.interfaces import Record

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """What `run` tells of a statement; None is what the driver cannot know."""

    rowcount: int | None
    """Rows inserted, changed or deleted, or else returned."""
    lastrowid: int | None
    """The row id that MySQL or SQLite gave an inserted row."""
    inserted_primary_key: tuple[Any, ...] | None
    """The primary key of the one row that an INSERT expression has added."""
    rows: list[Record]
    """The rows of a SELECT, or of a RETURNING that was asked for."""
