"""Answers in one form, so that contenders can be compared before they are timed."""

from __future__ import annotations

import datetime
import decimal
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["difference", "plain"]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")


def plain(value: Any, *, typed: bool = True) -> Any:
    """Return *value* as JSON can carry it, the same for all drivers.

    Where a driver has no type of its own, the text or number it keeps instead
    counts as equal: SQLite's dates and booleans. So does, where the query is
    not *typed*, JSON that one driver decodes and another leaves as text.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each, typed=typed) for key, each in value.items()}
    if isinstance(value, str):
        return _plain_text(value, typed=typed)
    if isinstance(value, (list, tuple)):
        return [plain(each, typed=typed) for each in value]
    return value


def difference(answer: Any, right: Any) -> str | None:
    """Return how *answer* differs from the *right* one, None if it does not."""
    if answer == right:
        return None
    given, wanted = json.dumps(answer), json.dumps(right)
    where = next(
        (i for i, pair in enumerate(zip(given, wanted, strict=False)) if len({*pair}) > 1), 0
    )
    start = max(0, where - 20)
    return f"...{given[start : where + 40]}... instead of ...{wanted[start : where + 40]}..."


def _plain_text(value: str, *, typed: bool) -> Any:
    if not typed and value[:1] in ("{", "["):
        try:
            return plain(json.loads(value))
        except ValueError:
            return value
    if _MOMENT.match(value):
        return datetime.datetime.fromisoformat(value).isoformat(sep=" ")
    return value
