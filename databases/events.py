"""What the library tells of its work: the log of connections and queries."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Sequence
from typing import Any

__all__ = ["CONNECT_EXTRA", "DISCONNECT_EXTRA", "LOG_EXTRA", "log_query", "logger"]

logger = logging.getLogger("databases")

# Given to every log call, so that a program can attach what its handlers want.
LOG_EXTRA: dict[str, Any] = {}
CONNECT_EXTRA: dict[str, Any] = {}
DISCONNECT_EXTRA: dict[str, Any] = {}

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 200
_shortened.maxlist = _shortened.maxtuple = _shortened.maxdict = 50


def log_query(sql: str, args: Sequence[Any] | None) -> None:
    """Log a statement as the driver gets it, at DEBUG; long values are shortened."""
    if args:
        logger.debug("Query: %s Args: %s", sql, _shortened.repr(list(args)), extra=LOG_EXTRA)
    else:
        logger.debug("Query: %s", sql, extra=LOG_EXTRA)
