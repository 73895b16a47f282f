"""Queries become bound statements here, each text or expression compiled once.

Strings are found by their text, SQLAlchemy expressions by SQLAlchemy's own
cache key. Without a cache key, or with the cache switched off, the statement
is compiled each time; the result is the same.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from logging import DEBUG
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.sqltypes import NULLTYPE
from sqlalchemy.sql.type_api import _resolve_value_to_type

from databases.backends.common import rawsql
from databases.backends.common.adapted import AdaptedPlan
from databases.backends.common.bulk import Source, arguments_of, chunks
from databases.backends.common.defaults import has_clause_defaults
from databases.backends.common.expressions import (
    KEEPS_PARAMS,
    PLAIN_TYPES,
    as_expression,
    cache_key_of,
    is_value,
    merged,
    parameter_names,
)
from databases.backends.common.forms import form_of
from databases.backends.common.kinds import Kind, kind_of, returns_rows
from databases.backends.common.plans import (
    BoundStatement,
    CorePlan,
    Plan,
)
from databases.errors import ParameterError
from databases.events import log_query, logger

__all__ = ["CacheStats", "Query", "Statements", "fitted"]

Values = Mapping[str, Any]
_NO_VALUES: Values = {}
_OWN = frozenset(
    "paramstyle positional identifier_preparer type_compiler type_compiler_instance "
    "_type_memos _databases_statements".split()
)
"""Attributes of a dialect that `fitted` makes anew."""


class Query(NamedTuple):
    """A query with its values, on its way from the facade to a backend of ours."""

    query: Any
    values: Any = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How well the statements of a database are remembered, since it was made."""

    hits: int
    """Queries whose text was there."""
    misses: int
    """Queries that had to be read or compiled."""
    size: int
    """Statements that are remembered: strings and expressions."""
    max_size: int
    """Most strings, and most expressions, that are remembered; 0: none."""


class Statements:
    """The statements of one backend: bound, and remembered while they are in use."""

    usual_size: ClassVar[int] = 512

    def __init__(
        self,
        dialect: Dialect,
        *,
        style: rawsql.Style,
        syntax: rawsql.Syntax,
        cache_size: int | None = None,
    ) -> None:
        # The program's, which it may change, and the driver's.
        self._given = dialect
        self._known = dict(vars(dialect))
        self._dialect = fitted(dialect, style)
        self._style: rawsql.Style = style
        self._syntax = syntax
        self._size = self.usual_size if cache_size is None else cache_size
        # Given an empty sequence, the others would unescape ``%%``.
        self._no_args: Sequence[Any] | None = None if style == "format" else ()
        self._strings: OrderedDict[Any, _StringPlan] = OrderedDict()
        self._plans: OrderedDict[Any, CorePlan] = OrderedDict()
        self._converters: dict[type, Any] = {}
        self.hits = 0
        self.misses = 0
        self.hides_values = False
        """Whether the log has the text of a statement only."""

    def resize(self, size: int | None) -> None:
        """Remember at most *size* strings and *size* expressions; 0 remembers none."""
        self._size = self.usual_size if size is None else size
        for cache in (self._strings, self._plans):
            while len(cache) > self._size:
                cache.popitem(last=False)

    def stats(self) -> CacheStats:
        """Return how often a statement was remembered, and how many are."""
        size = len(self._strings) + len(self._plans)
        return CacheStats(self.hits, self.misses, size, self._size)

    def log(self, sql: str, args: Sequence[Any] | None) -> None:
        """Log a statement, with its values unless they are to be hidden."""
        log_query(sql, None if self.hides_values else args)

    def bind(self, query: Any, values: Values | None = None) -> BoundStatement:
        """Return *query* with *values*, ready for the driver.

        Raises `ParameterError` for missing and surplus parameters, and
        SQLAlchemy's ``CompileError`` for an expression that cannot be compiled.
        """
        if query.__class__ is Query:
            query, values = query
        if values.__class__ is not dict and values:
            _check_mapping(values)
        if isinstance(query, str):
            bound = self._bind_string(query, values or _NO_VALUES)
        elif query.__class__ is BoundStatement:
            # Bound for a listener to see it, and logged.
            return query
        else:
            bound = self._bind_core(as_expression(query), values or _NO_VALUES, many=False)
        if logger.isEnabledFor(DEBUG):
            self.log(bound.sql, bound.args)
        return bound

    def bind_many(
        self,
        query: Any,
        rows: Iterable[Values],
        told: Callable[[BoundStatement], object] | None = None,
    ) -> Iterator[tuple[BoundStatement, Sequence[Sequence[Any]]]]:
        """Yield statements with the arguments of some rows each.

        Rows are bound as they are asked for, and neighbours with the same keys
        share one statement. *told* is called with the first of each chunk.
        """
        if not isinstance(query, str):
            query = as_expression(query)
        for chunk in chunks(rows):
            first = self._bind_row(query, chunk[0])
            if logger.isEnabledFor(DEBUG):
                self.log(first.sql, first.args)
            if told is not None:
                told(first)
            bulk = self._bulk_of(query, chunk[0], first.plan.core)
            args = None if bulk is None else arguments_of(chunk, *bulk)
            if args is not None:
                yield first, args
                continue
            for _, alike in groupby(
                (self._bind_row(query, values) for values in chunk), key=itemgetter(0)
            ):
                bound = list(alike)
                yield bound[0], [each.args or () for each in bound]

    def _bind_row(self, query: Any, values: Values) -> BoundStatement:
        if values.__class__ is not dict:
            _check_mapping(values)
        if isinstance(query, str):
            return self._bind_string(query, values)
        return self._bind_core(query, values, many=True)

    def _bulk_of(
        self, query: Any, values: Values, plan: CorePlan | None
    ) -> tuple[Sequence[Source], int, Callable[[type], bool]] | None:
        """Return how rows like *values* are bound by column, or None where they cannot be."""
        if isinstance(query, str):
            text_plan = self._strings.get(query) or self._string_plan(query)
            names = text_plan.simple_order
            if not names:
                return None
            texts = [Source(name, None, self._convert, PLAIN_TYPES) for name in names]
            return texts, text_plan.name_count, _is_any
        if getattr(query, "_multi_values", None) or isinstance(query, ExecutableDDLElement):
            return None
        is_change = getattr(query, "is_insert", False) or getattr(query, "is_update", False)
        if is_change and merged(query, values)[0] is not query:
            return None  # the plan is that of another expression
        cache_key = cache_key_of(query)
        if plan is None or cache_key is None:
            return None
        sources = plan.sources(cache_key.bindparams)
        return None if sources is None else (sources, len(values), is_value)

    # Strings

    def _bind_string(self, sql: str, values: Values) -> BoundStatement:
        plan = self._string_plan(sql)
        order = plan.simple_order
        if order is None:
            return self._bind_lists(sql, plan, values)
        try:
            args = [values[name] for name in order]
        except KeyError:
            args = []
        if len(values) != plan.name_count or len(args) != len(order):
            return self._bind_lists(sql, plan, values)
        for index, value in enumerate(args):
            if value.__class__ not in PLAIN_TYPES:
                args[index] = self._convert(value)
        return BoundStatement(plan.plan.sql, args or self._no_args, plan.plan)

    def _string_plan(self, sql: str) -> _StringPlan:
        plan = self._strings.get(sql)
        if plan is None:
            self.misses += 1
            plan = _StringPlan(sql, self._syntax, self._style)
            self._remember(self._strings, sql, plan)
        else:
            self.hits += 1
            self._strings.move_to_end(sql)
        return plan

    def _numbered(self, sql: str, plan: _StringPlan, values: Values) -> _StringPlan:
        """Return *plan*, or another one if *values* have names that begin with a digit.

        Without a value of that name, ``:2`` is no parameter but part of a slice.
        """
        numbers = frozenset(name for name in values if str(name)[:1].isdecimal())
        if not numbers:
            return plan
        numbered = self._strings.get((sql, numbers))
        if numbered is None:
            numbered = _StringPlan(sql, self._syntax, self._style, numbers)
            self._remember(self._strings, (sql, numbers), numbered)
        return numbered

    def _bind_lists(self, sql: str, plan: _StringPlan, values: Values) -> BoundStatement:
        if values.keys() != plan.parsed.names:
            plan = self._numbered(sql, plan, values)
            rawsql.check_parameters(plan.parsed.names, values)
        lengths = rawsql.list_lengths(plan.parsed, values)
        statement, order = plan.rendered(lengths)
        listed = {name: tuple(values[name]) for name, _ in lengths}
        args = [self._convert(v) for v in rawsql.expand(order, {**values, **listed})]
        return BoundStatement(statement.sql, args or self._no_args, statement)

    def _convert(self, value: Any) -> Any:
        """Return *value* as the driver takes it, by its Python type."""
        cls = value.__class__
        if cls in PLAIN_TYPES:
            return value
        try:
            converter = self._converters[cls]
        except KeyError:
            type_ = NULLTYPE if cls in (list, tuple, dict, set) else _resolve_value_to_type(value)
            converter = type_._cached_bind_processor(self._driver_dialect())
            if len(self._converters) < 1000:
                self._converters[cls] = converter
        return value if converter is None else converter(value)

    # Expressions

    def _bind_core(self, query: Any, values: Values, *, many: bool) -> BoundStatement:
        if isinstance(query, ExecutableDDLElement):
            return self._bind_ddl(query, values)
        if values and (getattr(query, "is_insert", False) or getattr(query, "is_update", False)):
            query, values = merged(query, values)
        names: tuple[Any, ...] = tuple(values)
        found = form_of(query) if self._size else None
        if found is not None:
            key = (found[0], names, many)
            known = self._plans.get(key)
            if known is not None and known.is_current():
                self.hits += 1
                self._plans.move_to_end(key)
                return known.bind(found[1], values)
        cache_key = cache_key_of(query)
        parameters = () if cache_key is None else cache_key.bindparams
        kept = _NO_VALUES
        if KEEPS_PARAMS and cache_key is not None and cache_key.params:
            kept = cache_key.params
            names, values = (names, *kept), {**kept, **values}
        if cache_key is None or not self._size:
            self.misses += 1
            plan = self._compile(query, cache_key, values, kept, many=many)
            return plan.bind(parameters, values)
        if found is None or list(map(id, found[1])) != list(map(id, parameters)):
            key = (cache_key.key, names, many)
        known = self._plans.get(key)
        if known is None or not known.is_current():
            self.misses += 1
            known = self._compile(query, cache_key, values, kept, many=many)
            if known.is_lasting:
                self._remember(self._plans, key, known)
        else:
            self.hits += 1
            self._plans.move_to_end(key)
        bound = known.bind(parameters, values)
        return bound if known.is_of(query) else bound._replace(plan=AdaptedPlan(bound.plan, query))

    def _compile(
        self, query: Any, cache_key: Any, values: Values, kept: Values, *, many: bool
    ) -> CorePlan:
        given = frozenset(values)
        column_keys = None
        if getattr(query, "is_insert", False) or getattr(query, "is_update", False):
            others = parameter_names(cache_key).union(kept)
            column_keys = [name for name in values if name not in others]
        compiled = self._compiled(query, cache_key, column_keys, many=many)
        if has_clause_defaults(compiled):
            # Written into the statement instead of asked for beforehand.
            compiled = self._compiled(query, cache_key, column_keys, many=True)
        plan = CorePlan(
            compiled,
            self._dialect,
            () if cache_key is None else cache_key.bindparams,
            given,
            self._convert,
            self._finished,
            self._no_args,
        )
        surplus = given - plan.consumed - kept.keys()
        if surplus and column_keys is not None:
            query.values(**values).compile(dialect=self._dialect)  # names the unknown column
        if surplus:
            names = ", ".join(repr(name) for name in sorted(surplus))
            raise ParameterError(
                f"cannot bind: the query has no parameter {names}; "
                "take what is surplus out of the values, or name it in the query"
            )
        return plan

    def _driver_dialect(self) -> Dialect:
        """Return the driver's dialect with what the program has set on its own by now."""
        known = self._known
        for name, value in vars(self._given).items():
            if known.get(name, known) is not value and name not in _OWN:
                known[name] = value
                setattr(self._dialect, name, value)
        return self._dialect

    def _compiled(
        self, query: Any, cache_key: Any, column_keys: list[str] | None, *, many: bool
    ) -> Any:
        dialect = self._driver_dialect()
        return query._compiler(
            dialect, cache_key=cache_key, column_keys=column_keys, for_executemany=many
        )

    def _bind_ddl(self, query: Any, values: Values) -> BoundStatement:
        if values:
            rawsql.check_parameters((), values)
        sql = self._finished(str(query.compile(dialect=self._driver_dialect())), has_args=False)
        return BoundStatement(sql, self._no_args, Plan(sql, Kind.OTHER, returns_rows=False))

    def _finished(self, sql: str, *, has_args: bool) -> str:
        """Return *sql* as the driver wants it: without arguments nobody unescapes ``%%``."""
        if not has_args and self._style == "format" and "%" in sql:
            return sql.replace("%%", "%")
        return sql

    def _remember(self, cache: OrderedDict[Any, Any], key: Any, plan: Any) -> None:
        if not self._size:
            return
        cache[key] = plan
        if len(cache) > self._size:
            cache.popitem(last=False)


class _StringPlan:
    """A text that was read once; `rendered` writes it for given list lengths."""

    __slots__ = ("_renderings", "_style", "name_count", "parsed", "plan", "simple_order")

    def __init__(
        self,
        sql: str,
        syntax: rawsql.Syntax,
        style: rawsql.Style,
        numbers: frozenset[str] = frozenset(),
    ) -> None:
        self.parsed = rawsql.parse(sql, syntax, numbers)
        self._style: rawsql.Style = style
        self._renderings: dict[Any, tuple[Plan, Any]] = {}
        self.name_count = len(self.parsed.names)
        self.plan, order = self.rendered(())
        self.simple_order = None if self.parsed.list_names else order

    def rendered(self, lengths: tuple[tuple[str, int], ...]) -> tuple[Plan, Any]:
        known = self._renderings.get(lengths)
        if known is None:
            # Without arguments the drivers send the text as it is.
            double = bool(self.parsed.names)
            sql, order = rawsql.render(self.parsed, self._style, lengths, double_percent=double)
            if double and not order:
                sql, order = rawsql.render(self.parsed, self._style, lengths, double_percent=False)
            kind = kind_of(sql)
            known = (Plan(sql, kind, returns_rows=returns_rows(sql, kind)), order)
            if len(self._renderings) >= 32:
                self._renderings.clear()
            self._renderings[lengths] = known
        return known


def fitted(dialect: Dialect, style: rawsql.Style) -> Dialect:
    """Return a dialect like *dialect* that writes parameters in *style*."""
    made: Any = copy.copy(dialect)
    for name in _OWN:
        made.__dict__.pop(name, None)
    made.paramstyle, made.positional = style, True
    # Some styles want percent signs doubled.
    made.identifier_preparer = made.preparer(made)
    made.type_compiler_instance = made.type_compiler = made.type_compiler_cls(made)
    fit: Dialect = made
    return fit


def _is_any(_type: type) -> bool:
    return True


def _check_mapping(values: Any) -> None:
    if not hasattr(values, "keys"):
        raise ParameterError(
            f"cannot bind: the values are of type {type(values).__name__}; give one mapping of "
            "names to values, and several rows to execute_many()"
        )
