"""Redaction: literals go, the rest of a statement stays."""

from __future__ import annotations

import pytest

from databases.backends.common.rawsql import MYSQL, POSTGRESQL, SQLITE, Syntax
from databases.backends.common.redaction import redacted


@pytest.mark.parametrize(
    ("syntax", "sql", "expected"),
    [
        (SQLITE, "SELECT 1", "SELECT ?"),
        (SQLITE, "SELECT a1, b_2 FROM t3", "SELECT a1, b_2 FROM t3"),
        (SQLITE, "x = 0xFF OR x = 1.5e3 OR x IN (1,2)", "x = ? OR x = ? OR x IN (?,?)"),
        (SQLITE, "x = 'it''s' AND y = ''", "x = ?? AND y = ?"),
        (SQLITE, r"x = 'C:\' AND y = 'secret'", "x = ? AND y = ?"),
        (SQLITE, 'SELECT "a 1", [b 2] FROM `c 3`', 'SELECT "a 1", [b 2] FROM `c 3`'),
        (SQLITE, "SELECT x -- secret\nFROM t", "SELECT x  \nFROM t"),
        (SQLITE, "SELECT 'secret", "SELECT ?"),
        (POSTGRESQL, "SELECT x /* a /* secret */ b */ FROM t", "SELECT x   FROM t"),
        (POSTGRESQL, r"x = E'it\'s' AND y = $$secret$$", "x = ? AND y = ?"),
        (POSTGRESQL, "x = $tag$secret$tag$::text", "x = ?::text"),
        (POSTGRESQL, "x = $1 AND y = 12", "x = $1 AND y = ?"),
        (MYSQL, r"""x = 'it\'s' AND y = "secret" """, "x = ? AND y = ? "),
        (MYSQL, "SELECT x # secret\nFROM `t 1`", "SELECT x  \nFROM `t 1`"),
    ],
)
def test_literals_are_replaced(syntax: Syntax, sql: str, expected: str) -> None:
    assert redacted(sql, syntax) == expected
