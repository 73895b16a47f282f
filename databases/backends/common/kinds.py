"""Kinds: what the text of a statement says of its effect and its result."""

from __future__ import annotations

import enum
import re
from functools import lru_cache

__all__ = [
    "Kind",
    "is_declarable",
    "is_empty",
    "is_session_neutral",
    "kind_of",
    "may_update",
    "returns_rows",
]


class Kind(enum.Enum):
    """What a statement does, as far as its result is concerned."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"  # and DELETE: their result is a row count
    OTHER = "other"


# No more than one way to read it: another one would be tried for each comment.
_COMMENT = r"--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/"
_LEADING = re.compile(rf"(?:\s|{_COMMENT}|\()*([a-zA-Z]+)")
_KINDS = {
    "select": Kind.SELECT,
    "values": Kind.SELECT,
    "table": Kind.SELECT,
    "show": Kind.SELECT,
    "explain": Kind.SELECT,
    "with": Kind.SELECT,
    "insert": Kind.INSERT,
    "replace": Kind.INSERT,
    "update": Kind.UPDATE,
    "delete": Kind.UPDATE,
    "merge": Kind.UPDATE,
}
# What is not closed runs to the end: to look for its end again from each place
# where it may begin would take the square of the text's length.
_QUOTES = r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)"
_REMARKS = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_NAMES = r"\[[^\][()'\"]*\]"
_DOLLARS = r"(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"
_QUOTED = re.compile(f"{_QUOTES}|{_REMARKS}", re.DOTALL)
_HIDDEN = re.compile(f"{_QUOTES}|{_NAMES}|{_DOLLARS}|{_REMARKS}", re.DOTALL)
_SKIPPED = f"(?P<remark>{_REMARKS})|{_QUOTES}|{_NAMES}|{_DOLLARS}|(?P<mark>[(),])"
_INSIDE = re.compile(_SKIPPED, re.DOTALL)
_OUTSIDE = re.compile(rf"{_SKIPPED}|(?P<word>[^\W\d]\w*)", re.DOTALL)
# A word after one of these is a name, or how to lock.
_BEFORE_NAMES = frozenset(("with", "recursive", ",", "by", "set", "cycle", "using", "for", "key"))
_VERBS = frozenset(("select", "values", "table", "insert", "replace", "update", "delete", "merge"))
_NOTHING = re.compile(rf"(?:[\s;]|{_COMMENT})*")
_DO_UPDATE = re.compile(r"\bdo\s+update\b", re.I)
_RETURNING = re.compile(r"\breturning\b", re.I)
_CHANGES = re.compile(r"[()]\s*(?:insert|update|delete|merge)\b", re.I)


def kind_of(sql: str) -> Kind:
    """Return what the text *sql* does, by its first words."""
    match = _LEADING.match(sql)
    word = match[1].lower() if match else ""
    if word == "with" and match is not None:
        word, _ = _verb(sql, match.end())
    return _KINDS.get(word, Kind.OTHER)


def returns_rows(sql: str, kind: Kind) -> bool:
    """Tell whether the text *sql* may answer with rows."""
    if kind is Kind.SELECT:
        return True
    if _RETURNING.search(sql) is None:
        return False
    match = _LEADING.match(sql)
    if match is not None and match[1].lower() == "with":
        # Those of its parts stay inside.
        sql = sql[_verb(sql, match.end())[1] :]
    return _RETURNING.search(_HIDDEN.sub(" ", sql)) is not None


def _verb(sql: str, start: int) -> tuple[str, int]:
    """Return what the text *sql* does whose ``WITH`` ends at *start*, and where it says so."""
    depth, position, last = 0, start, "with"
    while match := (_INSIDE if depth else _OUTSIDE).search(sql, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "remark":
            continue
        word = match[0].lower() if kind == "word" else ""
        if word in _VERBS and last not in _BEFORE_NAMES:
            return word, match.start()
        depth += (match[0] == "(") - (match[0] == ")")
        last = word or match[0]
    return "with", len(sql)


def is_declarable(sql: str) -> bool:
    """Tell whether PostgreSQL lets a cursor be declared for the text *sql*: it only reads."""
    match = _LEADING.match(sql)
    word = match[1].lower() if match else ""
    if word == "with":
        return kind_of(sql) is Kind.SELECT and _CHANGES.search(_HIDDEN.sub(" ", sql)) is None
    return word in ("select", "values", "table")


def may_update(sql: str) -> bool:
    """Tell whether the text *sql* of an INSERT may change a row that it meets instead."""
    return _DO_UPDATE.search(sql) is not None


def is_empty(sql: str) -> bool:
    """Tell whether the text *sql* holds no statement at all."""
    return _NOTHING.fullmatch(sql) is not None


# Words that may stand before a parenthesis, and functions that change nothing.
_HARMLESS = frozenset(
    """
    all and any array as between by case coalesce conflict else exists filter from group having
    in interval into is join like ilike not on or order over partition returning row rows select
    set some then union except intersect using values when where with within limit offset lateral
    distinct materialized recursive only only
    abs avg bit_length cast ceil ceiling char_length character_length concat concat_ws count
    cume_dist date_part date_trunc dense_rank extract first_value floor format greatest
    json_agg json_build_array json_build_object jsonb_agg jsonb_build_array jsonb_build_object
    json_object_agg jsonb_set lag last_value lead least left length lower lpad ltrim max md5 min
    mod now nth_value ntile nullif octet_length percent_rank position power random rank
    regexp_replace repeat replace right round row_number rpad rtrim sign split_part sqrt
    starts_with statement_timestamp string_agg string_to_array strpos substr substring sum
    clock_timestamp current_timestamp to_char to_date to_json to_jsonb to_number to_timestamp
    transaction_timestamp translate trim trunc unnest upper array_agg array_append array_length
    array_remove bool_and bool_or every generate_series gen_random_uuid row_to_json stddev
    variance varchar char character numeric decimal timestamp time bit varbit float age
    """.split()
)
# Tried from where a name begins only, or a long one would be read from each letter.
_CALL = re.compile(r"(?<![\w$.\"])([\w$.\"]+)\s*\(")
_NEUTRAL_START = frozenset(("select", "insert", "update", "delete", "values"))


@lru_cache(maxsize=1024)
def is_session_neutral(sql: str) -> bool:
    """Tell whether *sql* is certain to leave the session as it was.

    True for a plain SELECT, INSERT, UPDATE or DELETE that calls no function
    but well-known harmless ones.
    """
    match = _LEADING.match(sql)
    if match is None or match[1].lower() not in _NEUTRAL_START or "\\" in sql or "$$" in sql:
        return False
    plain = _QUOTED.sub(lambda m: m[0] if m[0][0] == '"' else " ", sql)
    if ";" in plain.rstrip().rstrip(";"):
        return False
    insert_target = re.match(r"\s*insert\s+into\s+[\w$.\"]+\s*", plain, re.I)
    body = plain[insert_target.end() :] if insert_target else plain
    return all(name.lower() in _HARMLESS for name in _CALL.findall(body))
