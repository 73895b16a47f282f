"""Parameters of SQL written as a string: where they stand, and how a driver wants them.

``parse`` splits a text once, ``render`` writes it for a driver, ``expand``
puts the values in order. All three are pure; callers cache the first two.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from databases.errors import ParameterError

__all__ = [
    "MYSQL",
    "POSTGRESQL",
    "SQLITE",
    "Occurrence",
    "ParsedSQL",
    "Spread",
    "Style",
    "Syntax",
    "check_parameters",
    "comment_end",
    "expand",
    "list_lengths",
    "parse",
    "render",
]

Style = Literal["numeric_dollar", "qmark", "format"]
"""How a driver writes a parameter: ``$1``, ``?`` or ``%s``."""

LISTS = (list, tuple, set, frozenset)
"""The types of a value that ``IN :name`` spreads over several parameters."""


class Syntax:
    """What one engine reads as quoted text or as a comment.

    *empty_in* and *empty_not_in* are what ``IN ()`` and ``NOT IN ()`` would
    mean, in words the engine accepts.
    """

    __slots__ = ("empty_in", "empty_not_in", "nested_comments", "pattern")

    def __init__(
        self,
        *,
        backslash_escapes: bool = False,
        dollar_quotes: bool = False,
        hash_comments: bool = False,
        nested_comments: bool = False,
        bracket_identifiers: bool = False,
        backtick_identifiers: bool = False,
        empty_in: str,
        empty_not_in: str,
    ) -> None:
        self.nested_comments = nested_comments
        self.empty_in = empty_in
        self.empty_not_in = empty_not_in
        # Unterminated text runs to the end: the server shall complain about
        # the quote, not we about a parameter inside it. A doubled quote reads
        # as two adjacent strings. Every branch is linear in its length.
        escaped = r"{0}[^{0}\\]*(?:\\.[^{0}\\]*)*(?:{0}|\\?\Z)"
        plain = r"{0}[^{0}]*(?:{0}|\Z)"
        quoted = [plain.format("`")] if backtick_identifiers else []
        if bracket_identifiers:
            quoted.append(r"\[[^\]]*(?:\]|\Z)")
        if backslash_escapes:
            backslashed = [escaped.format("'"), escaped.format('"')]
            comments = [r"--(?=[\s\x00-\x20]|\Z)[^\n]*"]
        else:
            backslashed = []
            quoted += [plain.format("'"), plain.format('"')]
            comments = [r"--[^\n]*"]
        if dollar_quotes:
            backslashed.append(r"(?<![\w$])[eE]" + escaped.format("'"))
            quoted.append(r"(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)")
        if hash_comments:
            comments.append(r"#[^\n]*")
        comments.append(r"/\*" if nested_comments else r"/\*.*?(?:\*/|\Z)")
        branches = [
            # As in SQLAlchemy's text(): a colon right after a word, a colon or
            # a backslash begins no name (a[i:j], 12:30, x::text, \:name).
            r"(?<![:\w\\]):(?P<name>\w+)",
            r"(?P<colon>\\:)",
            f"(?P<backslashed>{'|'.join(backslashed) or '(?!)'})",
            f"(?P<comment>{'|'.join(comments)})",
            f"(?P<quoted>{'|'.join(quoted)})",
        ]
        if dollar_quotes:
            branches.append(r"(?<![\w$])(?P<positional>\$\d+)")
        self.pattern = re.compile("|".join(branches), re.DOTALL)


# PostgreSQL gives a subquery a type before it compares, so that an empty one
# fits no column but text; the unknown literal '{}' takes the column's type.
POSTGRESQL = Syntax(
    dollar_quotes=True,
    nested_comments=True,
    empty_in="= ANY ('{}')",
    empty_not_in="<> ALL ('{}')",
)
_EMPTY = "(SELECT NULL FROM (SELECT 1) AS empty_list WHERE 1 = 0)"
MYSQL = Syntax(
    backslash_escapes=True,
    hash_comments=True,
    backtick_identifiers=True,
    empty_in=f"IN {_EMPTY}",
    empty_not_in=f"NOT IN {_EMPTY}",
)
SQLITE = Syntax(
    bracket_identifiers=True,
    backtick_identifiers=True,
    empty_in=f"IN {_EMPTY}",
    empty_not_in=f"NOT IN {_EMPTY}",
)

_COMMENT_EDGE = re.compile(r"/\*|\*/")
_IN_BEFORE = re.compile(
    r"(?<![\w$.@])(?P<negated>not\s+)?in(?:\s*(?P<open>\()\s*|\s+)\Z", re.IGNORECASE
)
_CLOSE_AFTER = re.compile(r"\s*\)")


class Occurrence(NamedTuple):
    """One place where a parameter stands.

    After ``IN`` the operator and the parentheses are *opening* and *closing*
    rather than part of the text around, so that a list can change them.
    """

    name: str
    in_list: bool = False
    negated: bool = False
    opening: str = ""
    closing: str = ""


class Spread(str):
    """A name in an order of arguments whose list gives one argument per item."""

    __slots__ = ()


Order = tuple[str, ...]
"""Names in the order of the driver's arguments; a `Spread` counts its items."""


@dataclass(frozen=True, slots=True, eq=False)
class ParsedSQL:
    """A text cut at its parameters: ``len(literals) == len(occurrences) + 1``."""

    literals: tuple[str, ...]
    occurrences: tuple[Occurrence, ...]
    names: frozenset[str]
    """Every parameter of the text."""
    list_names: frozenset[str]
    """Those that stand after ``IN`` somewhere."""
    has_positional: bool
    """Whether the text has PostgreSQL's own ``$1`` as well."""
    syntax: Syntax


@lru_cache(maxsize=1024)
def parse(sql: str, syntax: Syntax, numbers: frozenset[str] = frozenset()) -> ParsedSQL:
    r"""Cut *sql* into literal text and ``:name`` parameters.

    Quoted text, comments and casts are left alone. ``\:`` stands for a colon
    wherever a backslash has no meaning to the server. Names that begin with a
    digit are those of *numbers* only: ``a[:2]`` is a slice.
    """
    literals: list[str] = []
    occurrences: list[Occurrence] = []
    pieces: list[str] = []
    has_positional = False
    search = syntax.pattern.search
    done = code = position = 0
    while (match := search(sql, position)) is not None:
        start, position = match.span()
        kind = match.lastgroup
        if kind == "name" and match["name"][0].isdecimal() and match["name"] not in numbers:
            continue
        if kind == "name":
            occurrence, start, position = _place(sql, match, code)
            pieces.append(sql[done:start])
            literals.append("".join(pieces))
            occurrences.append(occurrence)
            pieces.clear()
            done = position
        elif kind == "positional":
            has_positional = True
        elif kind == "colon":
            pieces.append(sql[done:start])
            done = start + 1
        else:
            if kind == "comment" and syntax.nested_comments and sql[start] == "/":
                position = comment_end(sql, position)
            if kind != "backslashed" and "\\:" in (text := sql[start:position]):
                pieces += (sql[done:start], text.replace("\\:", ":"))
                done = position
        code = position
    pieces.append(sql[done:])
    literals.append("".join(pieces))
    return ParsedSQL(
        literals=tuple(literals),
        occurrences=tuple(occurrences),
        names=frozenset(each.name for each in occurrences),
        list_names=frozenset(each.name for each in occurrences if each.in_list),
        has_positional=has_positional,
        syntax=syntax,
    )


def render(
    parsed: ParsedSQL,
    style: Style,
    lengths: Mapping[str, int] | Iterable[tuple[str, int]] = (),
    *,
    double_percent: bool = True,
) -> tuple[str, Order]:
    """Return the driver's SQL and the names in the order of its arguments.

    *lengths* holds the names whose value is a list, as `list_lengths` gives
    them; they spread where they stand after ``IN`` and are one argument
    elsewhere. Without any, the order has plain names only, and the arguments
    are ``[values[name] for name in order]``; otherwise `expand` makes them.

    *double_percent* matters to ``format`` only: false for a driver that sends
    a text without arguments as it is.
    """
    if parsed.has_positional and parsed.occurrences:
        raise ParameterError(
            "cannot bind: the query has both $1 and :name parameters; use :name for all"
        )
    sizes = dict(lengths)
    double = style == "format" and double_percent
    writer = _NumberedWriter() if style == "numeric_dollar" else _RepeatingWriter(style)
    parts: list[str] = []
    for literal, occurrence in zip(parsed.literals, parsed.occurrences, strict=False):
        parts.append(literal.replace("%", "%%") if double else literal)
        parts.append(_render_occurrence(occurrence, sizes, parsed.syntax, writer))
    last = parsed.literals[-1]
    parts.append(last.replace("%", "%%") if double else last)
    return "".join(parts), tuple(writer.order)


def list_lengths(parsed: ParsedSQL, values: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return the names after ``IN`` that hold a list, each with its length.

    The result is hashable: with the text it is the key of a rendered statement.
    """
    if not parsed.list_names:
        return ()
    return tuple(
        (name, len(values[name]))
        for name in sorted(parsed.list_names)
        if isinstance(values[name], LISTS)
    )


def expand(order: Order, values: Mapping[str, Any]) -> list[Any]:
    """Return the driver's arguments, lists spread where *order* says so."""
    arguments: list[Any] = []
    for name in order:
        if type(name) is Spread:
            arguments.extend(values[name])
        else:
            arguments.append(values[name])
    return arguments


def check_parameters(names: Collection[str], values: Mapping[str, Any]) -> None:
    """Raise `ParameterError` unless *values* has exactly *names*.

    The message names each missing and each surplus parameter, never a value.
    """
    if values.keys() == names:
        return
    wanted = frozenset(names)
    missing = [name for name in sorted(wanted) if name not in values]
    surplus = sorted(str(name) for name in values if name not in wanted)
    if not missing and not surplus:
        return
    complaints: list[str] = []
    advice: list[str] = []
    if missing:
        complaints.append(f"no value for {_listed(missing)}")
        advice.append("give every parameter a value, or write \\: for a colon that begins none")
    if surplus:
        complaints.append(f"the query has no parameter {_listed(surplus)}")
        advice.append("take what is surplus out of the values, or name it in the query")
    raise ParameterError(f"cannot bind: {' and '.join(complaints)}; {', and '.join(advice)}")


class _NumberedWriter:
    """Write ``$1``, the same number wherever the same name stands."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._count = 0
        self._written: dict[tuple[type[str], str], str] = {}

    def one(self, name: str) -> str:
        return self._write(name, 1)

    def several(self, name: str, length: int) -> str:
        return self._write(Spread(name), length)

    def _write(self, name: str, length: int) -> str:
        # A name may stand alone and after IN: two arguments, two texts.
        key = (type(name), name)
        text = self._written.get(key)
        if text is None:
            first = self._count + 1
            self._count += length
            self.order.append(name)
            text = ", ".join(f"${number}" for number in range(first, self._count + 1))
            self._written[key] = text
        return text


class _RepeatingWriter:
    """Write ``?`` or ``%s``, an argument for each place."""

    def __init__(self, style: Style) -> None:
        self.order: list[str] = []
        self._placeholder = "?" if style == "qmark" else "%s"

    def one(self, name: str) -> str:
        self.order.append(name)
        return self._placeholder

    def several(self, name: str, length: int) -> str:
        self.order.append(Spread(name))
        return ", ".join([self._placeholder] * length)


def _render_occurrence(
    occurrence: Occurrence,
    sizes: Mapping[str, int],
    syntax: Syntax,
    writer: _NumberedWriter | _RepeatingWriter,
) -> str:
    name, in_list, negated, opening, closing = occurrence
    if not in_list or name not in sizes:
        return f"{opening}{writer.one(name)}{closing}"
    if not sizes[name]:
        return syntax.empty_not_in if negated else syntax.empty_in
    items = writer.several(name, sizes[name])
    return f"{opening}{items}{closing}" if closing else f"{opening}({items})"


def _place(sql: str, match: re.Match[str], code: int) -> tuple[Occurrence, int, int]:
    """Return the occurrence at *match* and the span of text it takes.

    *code* is where the last quoted text or comment ended: an ``IN`` before it
    is no operator.
    """
    start, end = match.span()
    operator = _IN_BEFORE.search(sql, code, start)
    if operator is None:
        return Occurrence(match["name"]), start, end
    closing = ""
    if operator["open"] is not None:
        close = _CLOSE_AFTER.match(sql, end)
        if close is None:
            return Occurrence(match["name"]), start, end
        closing = close[0]
        end = close.end()
    occurrence = Occurrence(
        match["name"],
        in_list=True,
        negated=operator["negated"] is not None,
        opening=operator[0],
        closing=closing,
    )
    return occurrence, operator.start(), end


def comment_end(sql: str, position: int) -> int:
    """Return where the comment ends whose ``/*`` ends at *position*; comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
