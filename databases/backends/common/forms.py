"""Forms: what tells the commonest expressions apart, quicker than SQLAlchemy's cache key.

A form holds all of an expression but the values of its parameters, as the
cache key does. Only what is known to the last attribute has one: whatever
else an expression bears, it is left to SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType
from typing import Any

from sqlalchemy import Column, Table, column, select
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql.cache_key import NO_CACHE
from sqlalchemy.sql.dml import Delete, Insert
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    False_,
    Null,
    True_,
    UnaryExpression,
)
from sqlalchemy.sql.selectable import Select

__all__ = ["form_of"]

Form = tuple[Any, ...]
Parameters = list[BindParameter[Any]]

_SOURCES = frozenset((Table, Column))
_PARAMETERS = frozenset((BindParameter, type(select(column("x")).limit(1)._limit_clause)))
_CONSTANTS = frozenset((Null, True_, False_))
_FUNCTIONS = frozenset((BuiltinFunctionType, FunctionType))
_parts_of = itemgetter("left", "right", "operator", "negate", "type", "modifiers")
_traits_of = itemgetter(
    "unique", "required", "isoutparam", "expanding", "expand_op", "literal_execute"
)


class _UnknownError(Exception):
    """Something in the expression has no form."""


def form_of(expression: Any) -> tuple[Form, Parameters] | None:
    """Return the form of *expression* and its parameters, None where it has none.

    Tables and columns are told by their identity: a form is only good as long
    as an expression that has it lives.
    """
    cls = expression.__class__
    parts = _PARTS.get(cls)
    if parts is None:
        return None
    attributes = expression.__dict__
    if "_generate_cache_key" in attributes:
        return None  # SQLAlchemy has made its key already, and keeps it
    form: list[Any] = [cls]
    parameters: Parameters = []
    known = 0
    try:
        # In SQLAlchemy's order, which is that of the parameters.
        for name, read in parts:
            if name in attributes:
                known += 1
                form.append(name)
                form.append(read(attributes[name], parameters))
    except (_UnknownError, SAWarning):
        return None
    return (tuple(form), parameters) if known == len(attributes) else None


def _read_sources(sources: Sequence[Any], _: Parameters) -> Form:
    for source in sources:
        if source.__class__ not in _SOURCES:
            raise _UnknownError
    return tuple(map(id, sources))


def _read_table(table: Any, _: Parameters) -> int:
    if table.__class__ is not Table:
        raise _UnknownError
    return id(table)


def _read_criteria(criteria: Sequence[Any], parameters: Parameters) -> Form:
    return tuple([_read_operand(each, parameters) for each in criteria])


def _read_order(clauses: Sequence[Any], parameters: Parameters) -> Form:
    return tuple([_read_sorting(each, parameters) for each in clauses])


def _read_sorting(clause: Any, parameters: Parameters) -> Any:
    if clause.__class__ is not UnaryExpression:
        return _read_operand(clause, parameters)
    if clause.operator is not None:
        raise _UnknownError
    return _read_operand(clause.element, parameters), _function(clause.modifier)


def _read_operand(operand: Any, parameters: Parameters) -> Any:
    cls = operand.__class__
    if cls is Column:
        return id(operand)
    if cls in _PARAMETERS:
        return _read_parameter(operand, parameters)
    if cls in _CONSTANTS:
        return cls
    if cls is not BinaryExpression:
        raise _UnknownError
    left, right, operator, negate, type_, modifiers = _parts_of(operand.__dict__)
    # What is here instead of in functions is there for the commonest: column = value.
    if modifiers or operator.__class__ not in _FUNCTIONS:
        raise _UnknownError
    left = id(left) if left.__class__ is Column else _read_operand(left, parameters)
    reads = _read_parameter if right.__class__ in _PARAMETERS else _read_operand
    return left, reads(right, parameters), operator, negate, _type(type_)


def _read_parameter(parameter: Any, parameters: Parameters) -> Form:
    attributes = parameter.__dict__
    if attributes["callable"] is not None:
        raise _UnknownError
    for other in parameters:
        if other is parameter:
            raise _UnknownError  # it has one place among the parameters, and two in the text
    parameters.append(parameter)
    name = attributes["_orig_key" if attributes["unique"] else "key"]
    return parameter.__class__, name, _type(attributes["type"]), _traits_of(attributes)


def _read_plain(value: Any, _: Parameters) -> Any:
    return value


def _read_nothing(value: Any, _: Parameters) -> None:
    if value is not None:
        raise _UnknownError


def _read_clause(clause: Any, parameters: Parameters) -> Any:
    return None if clause is None else _read_operand(clause, parameters)


def _type(type_: Any) -> Any:
    key = type_._static_cache_key
    if key is NO_CACHE:
        raise _UnknownError
    return key


def _function(value: Any) -> Any:
    # Operators that programs make are objects, made anew for each expression.
    if value.__class__ not in _FUNCTIONS:
        raise _UnknownError
    return value


Reader = Callable[[Any, Parameters], Any]
_STATEMENTS: Mapping[type, Sequence[tuple[str, Reader]]] = {
    Select: (
        ("_raw_columns", _read_sources),
        ("_where_criteria", _read_criteria),
        ("_order_by_clauses", _read_order),
        ("_limit_clause", _read_clause),
        ("_offset_clause", _read_clause),
        ("_fetch_clause", _read_nothing),
        ("_fetch_clause_options", _read_nothing),
        ("_label_style", _read_plain),
    ),
    Insert: (("table", _read_table),),
    Delete: (("table", _read_table), ("_where_criteria", _read_criteria)),
}
"""What is known of each statement, in the order of ``_traverse_internals``."""

# What SQLAlchemy's cache keys are made of, as far as it is known here. In a
# SQLAlchemy that knows more, nothing has a form.
_ELEMENTS: Mapping[Any, str] = {
    BinaryExpression: "left right operator negate modifiers type",
    UnaryExpression: "element operator modifier",
    BindParameter: "key type callable value literal_execute",
}
_is_known = all(
    {name for name, *_ in cls._traverse_internals} <= set(names.split())
    for cls, names in _ELEMENTS.items()
)
_PARTS = _STATEMENTS if _is_known else {}
