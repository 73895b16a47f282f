"""Plans: what is known of a SQLAlchemy statement once it was compiled.

A plan turns the values of one execution into the driver's arguments without
compiling again. With `statements` the only module that touches SQLAlchemy's
compiler.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.elements import BindParameter

from databases.backends.common.bulk import Source
from databases.backends.common.converters import bind_converter, kept_types, result_converter
from databases.backends.common.defaults import DefaultContext, defaults_of
from databases.backends.common.expressions import selected_by, tables_of
from databases.backends.common.kinds import Kind, is_session_neutral, kind_of
from databases.backends.common.records import Layout, make_layout
from databases.backends.common.subjects import Subject
from databases.errors import ParameterError

__all__ = [
    "BoundStatement",
    "CorePlan",
    "Plan",
    "in_order",
]

Values = Mapping[str, Any]
Processor = Callable[[Any], Any]


class Plan:
    """What is the same for every execution of one statement text."""

    __slots__ = (
        "_is_loose",
        "_names",
        "core",
        "is_session_neutral",
        "kind",
        "layout",
        "returns_rows",
        "sql",
        "subject",
    )

    def __init__(
        self, sql: str, kind: Kind, *, returns_rows: bool, core: CorePlan | None = None
    ) -> None:
        self.sql = sql
        self.kind = kind
        self.returns_rows = returns_rows
        self.core = core
        self.layout: Layout | None = None
        # What the driver named the columns of the layout; where the statement
        # does not say what they are, they may be others each time.
        self._names: tuple[str, ...] = ()
        self._is_loose = True
        self.subject: Subject | None = None
        """What it does to which table, once somebody has asked."""
        self.is_session_neutral = is_session_neutral(sql)
        """Whether running it leaves the session's state as it was."""

    def layout_for(self, names: Sequence[str]) -> Layout:
        """Return the layout of a result with the columns *names*."""
        layout = self.layout
        # The driver makes its names anew for each result: compare by value.
        if (
            layout is None
            or len(layout.names) != len(names)
            or (self._is_loose and self._names != tuple(names))
        ):
            layout = self._new_layout(names)
        return layout

    def _new_layout(self, names: Sequence[str]) -> Layout:
        core = self.core
        self._names = tuple(names)
        self._is_loose = core is None or not core.knows_names(names)
        self.layout = make_layout(names) if core is None else core.make_layout(names)
        return self.layout


class BoundStatement(NamedTuple):
    """A statement with its arguments, ready for the driver."""

    sql: str
    args: Any
    """A sequence; None where the driver is to take the text as it is."""
    plan: Plan
    keys: Sequence[Any] = ()
    """What an INSERT was given of the primary key: a value or None for each of its columns."""

    @property
    def key(self) -> Any:
        """The first column of the primary key that an INSERT was given, when it was."""
        return self.keys[0] if self.keys else None


class _Step(NamedTuple):
    """Where one parameter's value comes from."""

    name: str
    key: str
    position: int | None
    """Index among the statement's own parameters; None: it is not one of them."""
    parameter: BindParameter[Any]
    given: bool
    processor: Processor | None
    expands: bool


class CorePlan:
    """How the values of a SQLAlchemy statement become driver arguments."""

    def __init__(
        self,
        compiled: Any,
        dialect: Dialect,
        parameters: Sequence[BindParameter[Any]],
        given: frozenset[str],
        convert: Processor,
        finish: Callable[..., str],
        no_args: Sequence[Any] | None,
    ) -> None:
        self.statement = compiled.statement
        tables = tables_of(self.statement)
        # SQLAlchemy's own lists, which change when a table is defined anew.
        self._columns = [table.c._collection for table in tables]
        self._columns_then = list(map(list, self._columns))
        self.is_lasting = not any(
            column.type._isnull and column.foreign_keys for table in tables for column in table.c
        )
        """Whether all types are known: a foreign key may have that of a table to come."""
        self._compiled = compiled
        self._dialect = dialect
        self._finish = finish
        self._no_args = no_args
        self._defaults = defaults_of(compiled)
        self._default_names = [compiled._within_exec_param_key_getter(c) for c, _ in self._defaults]
        self._steps = [
            self._step(name, parameters, given, convert)
            for name in dict.fromkeys(compiled.positiontup or ())
        ]
        self._check(given)
        self._order = list(compiled.positiontup or ())
        self._expansions: dict[Any, tuple[str, list[tuple[str, int | None, Any]]]] = {}
        self._cacheable = not compiled.literal_execute_params and not any(
            step.expands and step.parameter.type._is_tuple_type for step in self._steps
        )
        self._has_expansion = bool(compiled.post_compile_params or compiled.literal_execute_params)
        self._is_simple = (
            not self._has_expansion and not self._defaults and len(self._order) == len(self._steps)
        )
        self._quick = [(s.given, s.position, s.key, s.parameter, s.processor) for s in self._steps]
        self.key_columns = _key_columns_of(compiled)
        self._key_names = _key_names_of(compiled)
        self.returns_only_key = bool(compiled.isinsert and compiled.implicit_returning)
        """Whether its rows are the new primary keys, for which nobody has asked."""
        self.is_upsert = getattr(compiled.statement, "_post_values_clause", None) is not None
        self.plan = Plan(
            finish(compiled.string, has_args=bool(self._order)),
            _kind_of_compiled(compiled),
            returns_rows=bool(compiled._result_columns),
            core=self,
        )

    def is_current(self) -> bool:
        """Tell whether the tables have the columns that they had when it was compiled."""
        try:
            return self._columns == self._columns_then
        except Exception:  # noqa: BLE001  # columns that differ compare as their types like
            return False

    def is_of(self, query: Any) -> bool:
        """Tell whether *query*, which has the same cache key, selects the very same columns."""
        if query is self.statement or not self.plan.returns_rows or self.returns_only_key:
            return True
        own, planned = _chosen_by(query), _chosen_by(self.statement)
        return bool(own and planned) and all(map(operator.is_, own, planned))

    def bind(self, parameters: Sequence[BindParameter[Any]], values: Values) -> BoundStatement:
        """Return the statement with the values of this execution.

        *parameters* are the statement's own, in the order of its cache key.
        """
        plan = self.plan
        if self._is_simple and not self._key_names:
            args: list[Any] = []
            for given, position, name, constant, processor in self._quick:
                if given:
                    value = values[name]
                elif position is None:
                    value = constant.effective_value
                else:
                    value = parameters[position].effective_value
                    if value is None:
                        _check_given(parameters[position])
                args.append(value if processor is None else processor(value))
            return BoundStatement(plan.sql, args or self._no_args, plan)
        by_name = self._values_by_name(parameters, values)
        keys = [None if name is None else by_name.get(name) for name in self._key_names]
        if self._has_expansion:
            text, expanded = self._expand(by_name)
            return BoundStatement(text, expanded or self._no_args, plan, keys)
        processed = {
            step.name: by_name[step.name]
            if step.processor is None
            else step.processor(by_name[step.name])
            for step in self._steps
        }
        return BoundStatement(
            plan.sql, [processed[n] for n in self._order] or self._no_args, plan, keys
        )

    def sources(self, parameters: Sequence[BindParameter[Any]]) -> list[Source] | None:
        """Return where each argument of many rows comes from, None where it is not so simple."""
        # Without a value of the row's own, it may be another expression that was compiled.
        if not self._is_simple or not any(step.given for step in self._steps):
            return None
        sources = []
        for given, position, key, constant, processor in self._quick:
            if given:
                sources.append(Source(key, None, processor, kept_types(processor)))
                continue
            value = _own_value(constant if position is None else parameters[position])
            value = value if processor is None else processor(value)
            sources.append(Source(None, value, None, frozenset()))
        return sources

    def knows_names(self, names: Sequence[str]) -> bool:
        """Tell whether the columns *names* are the same each time the statement runs."""
        compiled = self._compiled
        return (
            len(compiled._result_columns) == len(names)
            and not compiled._ad_hoc_textual
            and not compiled._loose_column_name_matching
            and not any(_is_text(column[0]) for column in compiled._result_columns)
        )

    def make_layout(self, names: Sequence[str]) -> Layout:
        """Return the layout of rows that the driver names *names*."""
        compiled = self._compiled
        columns = compiled._result_columns
        processors = [result_converter(c[3], self._dialect) for c in columns]
        known = {c[0]: (c[2], p) for c, p in zip(columns, processors, strict=True)}
        if len(columns) == len(names):
            objects: list[Sequence[Any]] = [c[2] for c in columns]
            if len(selected := selected_by(self.statement)) == len(names):
                objects = [(*each, one) for each, one in zip(objects, selected, strict=True)]
            if compiled._textual_ordered_columns:
                return make_layout(names, objects, processors)
            own = [n if _is_text(c[0]) else c[0] for c, n in zip(columns, names, strict=True)]
            # A text whose columns are named need not have them in that order.
            if not compiled._loose_column_name_matching or not any(
                n in known and n != c for n, c in zip(names, own, strict=True)
            ):
                return make_layout(own, objects, processors)
        # The text holds columns that SQLAlchemy does not know, as in text("*").
        matched = [known.get(name, ((), None)) for name in names]
        return make_layout(names, [m[0] for m in matched], [m[1] for m in matched])

    def _step(
        self,
        name: str,
        parameters: Sequence[BindParameter[Any]],
        given: frozenset[str],
        convert: Processor,
    ) -> _Step:
        compiled = self._compiled
        parameter = compiled.binds[name]
        matches = compiled._cache_key_bind_match
        position = None
        if matches is not None:
            clones = matches[0]
            for index, original in enumerate(compiled.cache_key[1]):
                if any(parameter is clone for clone in clones[original]):
                    position = index
        key = parameter.key if parameter.key in given else name
        processor = bind_converter(
            compiled._bind_processors.get(name), parameter.type, self._dialect
        )
        if processor is None and parameter.type._isnull:
            processor = convert
        expands = parameter in compiled.post_compile_params
        # What `.params()` gave, which the cache key has, if there is one.
        kept = getattr(compiled, "_collected_params", None) or {}
        if (own := parameter.key if parameter.key in kept else name) in kept:
            parameter = parameter._with_value(kept[own], maintain_key=True, required=False)
        return _Step(name, key, position, parameter, key in given, processor, expands)

    def _check(self, given: frozenset[str]) -> None:
        missing = [
            repr(step.key)
            for step in self._steps
            if step.parameter.required and not step.given and step.name not in self._default_names
        ]
        if missing:
            raise _missing(", ".join(missing))

    @property
    def consumed(self) -> frozenset[str]:
        """The names among the given values that the statement has a use for."""
        return frozenset(step.key for step in self._steps if step.given)

    def _values_by_name(
        self, parameters: Sequence[BindParameter[Any]], values: Values
    ) -> dict[str, Any]:
        by_name: dict[str, Any] = {}
        for step in self._steps:
            if step.given:
                by_name[step.name] = values[step.key]
            elif step.name not in self._default_names:
                source = step.parameter if step.position is None else parameters[step.position]
                by_name[step.name] = _own_value(source)
        for (column, default), name in zip(self._defaults, self._default_names, strict=True):
            if name not in by_name:
                by_name[name] = self._default_value(column, default, by_name)
        return by_name

    def _default_value(self, column: Any, default: Any, by_name: dict[str, Any]) -> Any:
        if default.is_callable:
            return default.arg(DefaultContext(self._compiled, self._dialect, column, by_name))
        return default.arg

    def _expand(self, by_name: dict[str, Any]) -> tuple[str, list[Any]]:
        expanding = [step for step in self._steps if step.expands]
        for step in expanding:
            by_name[step.name] = list(by_name[step.name])
        if not self._cacheable or any(_is_of_tuples(by_name[step.name]) for step in expanding):
            return self._expand_now(by_name)[:2]
        lengths = tuple(len(by_name[step.name]) for step in expanding)
        known = self._expansions.get(lengths)
        if known is None:
            sql, args, sources = self._expand_now(dict(by_name))
            if len(self._expansions) >= 32:
                self._expansions.clear()
            self._expansions[lengths] = (sql, sources)
            return sql, args
        sql, sources = known
        args = []
        for name, index, processor in sources:
            value = by_name[name] if index is None else by_name[name][index]
            args.append(value if processor is None else processor(value))
        return sql, args

    def _expand_now(
        self, by_name: dict[str, Any]
    ) -> tuple[str, list[Any], list[tuple[str, int | None, Any]]]:
        state = self._compiled._process_parameters_for_postcompile(dict(by_name))
        origins = {
            expanded: (name, index)
            for name, each in state.parameter_expansion.items()
            for index, expanded in enumerate(each)
        }
        processors = {step.name: step.processor for step in self._steps if not step.expands}
        types = {step.name: step.processor for step in self._steps if step.expands}
        args: list[Any] = []
        sources: list[tuple[str, int | None, Any]] = []
        for name in state.positiontup or ():
            origin, index = origins.get(name, (name, None))
            if index is None:
                processor = processors.get(name)
            else:
                processor = state.processors.get(name) or (
                    types.get(origin) if origin not in self._compiled._bind_processors else None
                )
            value = state.parameters[name]
            args.append(value if processor is None else processor(value))
            sources.append((origin, index, processor))
        return self._finish(state.statement, has_args=bool(args)), args, sources


def _chosen_by(query: Any) -> Sequence[Any]:
    chosen: Any = getattr(query, "_raw_columns", None) or getattr(query, "_returning", None)
    return chosen or ()


def in_order(names: Sequence[str]) -> Callable[[Values], Sequence[Any]]:
    """Return what takes the values of *names* out of a mapping, in that order."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda values: [values[name] for name in names]


def _missing(names: str) -> ParameterError:
    return ParameterError(f"cannot bind: no value for {names}; give every parameter a value")


def _check_given(parameter: BindParameter[Any]) -> None:
    # Another one had a value when the plan was made: both have one cache key.
    if parameter.required:
        raise _missing(repr(parameter.key))


def _is_of_tuples(values: list[Any]) -> bool:
    # Each of them becomes several parameters, as many as it is long.
    return bool(values) and isinstance(values[0], (tuple, list))


def _own_value(parameter: BindParameter[Any]) -> Any:
    value = parameter.effective_value
    if value is None:
        _check_given(parameter)
    return value


def _is_text(name: str | None) -> bool:
    """Tell whether *name* of a column is none: it is text, which may stand for several."""
    return name is None or name.endswith("*")


def _key_names_of(compiled: Any) -> tuple[str | None, ...]:
    """Return the parameters that hold the new row's primary key, empty if none does."""
    if not compiled.isinsert:
        return ()
    key = getattr(getattr(compiled.compile_state, "dml_table", None), "primary_key", ())
    names = [compiled._within_exec_param_key_getter(column) for column in key]
    given = tuple(name if name in compiled.binds else None for name in names)
    return given if any(given) else ()


def _key_columns_of(compiled: Any) -> tuple[Any, ...]:
    """Return the primary key of the table that gets one new row, empty in any other case."""
    state = compiled.compile_state
    if (
        not compiled.isinsert
        or state._has_multi_parameters
        or compiled.statement.select is not None
    ):
        return ()
    return tuple(getattr(state.dml_table, "primary_key", ()))


def _kind_of_compiled(compiled: Any) -> Kind:
    if compiled.isinsert:
        return Kind.INSERT
    if compiled.isupdate or compiled.isdelete:
        return Kind.UPDATE
    if compiled._result_columns:
        return Kind.SELECT
    return kind_of(compiled.string)
