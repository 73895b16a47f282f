"""Redaction: the text of a statement without what stands in it literally."""

from __future__ import annotations

import re
from functools import lru_cache

from databases.backends.common.rawsql import Syntax, comment_end

__all__ = ["redacted"]

_NUMBER = re.compile(r"(?<![\w$])\d[\w.]*")


@lru_cache(maxsize=1024)
def redacted(sql: str, syntax: Syntax) -> str:
    """Return *sql* with ``?`` for each string and number, and without comments."""
    pieces: list[str] = []
    position = 0
    while (match := syntax.pattern.search(sql, position)) is not None:
        start, end = match.span()
        pieces.append(_NUMBER.sub("?", sql[position:start]))
        kind, text = match.lastgroup, match[0]
        if kind == "comment":
            pieces.append(" ")
            if syntax.nested_comments and text == "/*":
                end = comment_end(sql, end)
        elif kind == "backslashed" or (kind == "quoted" and text[0] in "'$"):
            pieces.append("?")
        else:
            pieces.append(text)
        position = end
    pieces.append(_NUMBER.sub("?", sql[position:]))
    return "".join(pieces)
