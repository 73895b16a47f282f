"""Shapes: how records become objects of the caller's own types."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from types import SimpleNamespace
from typing import Any

from databases.backends.common.records import FastRecord
from databases.errors import RecordTypeError

__all__ = ["Shape", "shape_of"]

Make = Callable[[Sequence[Any]], Any]
"""Makes an object of the values of one row."""
_KNOWN_LAYOUTS = 64
"""Lists of column names that a shape remembers how to fill."""


class Shape:
    """Objects that a function makes of whole records."""

    __slots__ = ("into",)

    def __init__(self, into: Callable[[Any], Any]) -> None:
        self.into = into

    def all(self, records: Sequence[Any], first: int = 1) -> list[Any]:
        """Return an object for each of *records*; *first* is the number of the first one.

        Raises `RecordTypeError` where columns and fields differ. Whatever the
        type itself raises passes through, with a note that names the row.
        """
        made: list[Any] = []
        append = made.append
        make, records = self._maker(records)
        try:
            for record in records:
                append(make(record))
        except Exception as error:
            _note(error, f"row {first + len(made)} of the result, as {_name(self.into)}")
            raise
        return made

    def one(self, record: Any) -> Any:
        """Return the object for *record*, None where there is none."""
        return None if record is None else self.all((record,))[0]

    def _maker(self, records: Sequence[Any]) -> tuple[Callable[[Any], Any], Sequence[Any]]:
        return self.into, records


class ValuesShape(Shape):
    """Tuples or lists of the values; called with a record they would take its names."""

    __slots__ = ()

    def _maker(self, records: Sequence[Any]) -> tuple[Callable[[Any], Any], Sequence[Any]]:
        return self.into, [_taken_apart(record)[1] for record in records]


class FieldsShape(Shape):
    """Objects of a type whose fields bear the names of the columns."""

    __slots__ = ("_fields", "_makers")

    def __init__(self, into: Any, fields: Fields) -> None:
        super().__init__(into)
        self._fields = fields
        self._makers: dict[tuple[str, ...], Make] = {}

    def _maker(self, records: Sequence[Any]) -> tuple[Callable[[Any], Any], Sequence[Any]]:
        if records and isinstance(records[0], FastRecord):
            # The rows of one result share their class.
            return self._maker_of(records[0]._names), [record._data for record in records]
        return self._make_foreign, records

    def _make_foreign(self, record: Any) -> Any:
        names, values = _taken_apart(record)
        return self._maker_of(names)(values)

    def _maker_of(self, names: tuple[str, ...]) -> Make:
        make = self._makers.get(names)
        if make is None:
            if len(self._makers) >= _KNOWN_LAYOUTS:
                self._makers.clear()
            fields = self._fields
            make = self._makers[names] = fields.build(fields.keys(names, _name(self.into)))
        return make


@dataclass(frozen=True, slots=True)
class Fields:
    """What the fields of a type are called, and how to fill them."""

    columns: Mapping[str, tuple[str, str]]
    """For each column that may come: the field, and the key that fills it."""
    required: Sequence[str]
    takes_more: bool
    build: Callable[[tuple[str, ...]], Make]
    """Return what makes an object of values that come in the order of these keys."""

    def keys(self, names: tuple[str, ...], type_name: str) -> tuple[str, ...]:
        """Return the key for each of the columns *names*, or say what does not match."""
        found = [self.columns.get(name, (name, name)) for name in names]
        fields = [field for field, _ in found]
        wrong = {
            "no column for {}": [name for name in self.required if name not in fields],
            "no field for column {}": [
                name for name in names if name not in self.columns and not self.takes_more
            ],
            "more than one column for {}": [
                name for name in dict.fromkeys(fields) if fields.count(name) > 1
            ],
        }
        complaints = [
            text.format(", ".join(map(repr, culprits)))
            for text, culprits in wrong.items()
            if culprits
        ]
        if complaints:
            raise RecordTypeError(
                f"cannot make {type_name} of the rows: {', '.join(complaints)}; select one "
                "column for each field, labelled with its name, or give the field a default"
            )
        return tuple(key for _, key in found)


def shape_of(into: Any) -> Shape:
    """Return how records become what *into* names.

    *into* is a dataclass, ``NamedTuple``, ``TypedDict``, attrs class, msgspec
    Struct or pydantic model, ``tuple``, ``list``, or a callable that takes the
    record. Raises `RecordTypeError` for anything else.
    """
    if not callable(into):
        raise _no_type(into)
    is_type = isinstance(into, type) or typing.get_origin(into) is not None
    return _known_shape(into) if is_type else Shape(into)


@functools.lru_cache(maxsize=256)
def _known_shape(into: Any) -> Shape:
    cls = typing.get_origin(into) or into
    if cls is tuple or cls is list:
        return ValuesShape(cls)
    if not isinstance(cls, type):
        raise _no_type(into)
    # By what their classes bear: none of these packages has to be installed.
    if issubclass(cls, dict) and hasattr(cls, "__required_keys__"):
        return FieldsShape(into, _fields_of_typed_dict(cls))
    if hasattr(cls, "model_validate") and hasattr(cls, "model_fields"):
        return FieldsShape(into, _fields_of_pydantic(cls))
    if hasattr(cls, "__struct_fields__"):
        return FieldsShape(into, _fields_of_msgspec(cls, into))
    is_named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    if is_named_tuple or is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        return FieldsShape(into, _fields_of_constructor(cls))
    return Shape(into)


def _fields_of_constructor(cls: type) -> Fields:
    given = inspect.signature(cls).parameters.values()
    parameters = [p for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_position = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    def build(keys: tuple[str, ...]) -> Make:
        order = by_position[: len(keys)]
        if keys == tuple(order):
            return lambda values: cls(*values)
        if sorted(keys) == sorted(order):
            arrange = operator.itemgetter(*map(keys.index, order))
            return lambda values: cls(*arrange(values))
        return lambda values: cls(**dict(zip(keys, values)))

    return Fields(
        {p.name: (p.name, p.name) for p in parameters},
        [p.name for p in parameters if p.default is p.empty],
        takes_more=any(p.kind is p.VAR_KEYWORD for p in given),
        build=build,
    )


def _fields_of_typed_dict(cls: Any) -> Fields:
    required = set(cls.__required_keys__)
    # Written as a string, as all annotations are under the __future__ import,
    # NotRequired is not among what the class knows of itself.
    for name, hint in _hints(cls).items():
        word = getattr(typing.get_origin(hint), "_name", None)
        if word == "NotRequired":
            required.discard(name)
        elif word == "Required":
            required.add(name)
    return Fields(
        {name: (name, name) for name in cls.__annotations__},
        [name for name in cls.__annotations__ if name in required],
        takes_more=False,
        build=lambda keys: lambda values: dict(zip(keys, values)),
    )


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError:  # of what is imported for type checkers only
        return {}


def _fields_of_msgspec(cls: Any, into: Any) -> Fields:
    msgspec = sys.modules["msgspec"]
    convert = msgspec.convert
    is_array = cls.__struct_config__.array_like

    def build(keys: tuple[str, ...]) -> Make:
        # Not strict, as pydantic: many a database has no type for booleans.
        if is_array:
            return lambda values: convert(
                SimpleNamespace(**dict(zip(keys, values))),
                into,
                strict=False,
                from_attributes=True,
            )
        return lambda values: convert(dict(zip(keys, values)), into, strict=False)

    fields = msgspec.structs.fields(cls)
    return Fields(
        {f.name: (f.name, f.name if is_array else f.encode_name) for f in fields},
        [f.name for f in fields if f.required],
        takes_more=False,
        build=build,
    )


def _fields_of_pydantic(cls: Any) -> Fields:
    validate = cls.model_validate
    config = cls.model_config
    columns: dict[str, tuple[str, str]] = {}
    for name, field in cls.model_fields.items():
        aliases = _aliases(field.validation_alias)
        key = aliases[0] if aliases and config.get("validate_by_alias", True) else name
        columns[name] = (name, key)
        columns.update({alias: (name, alias) for alias in aliases})
    return Fields(
        columns,
        [name for name, field in cls.model_fields.items() if field.is_required()],
        takes_more=config.get("extra") in ("allow", "ignore"),
        build=lambda keys: lambda values: validate(dict(zip(keys, values))),
    )


def _aliases(alias: Any) -> list[str]:
    """Return the names under which pydantic looks for a field with *alias*."""
    if alias is None:
        return []
    choices = [alias] if isinstance(alias, str) else getattr(alias, "choices", [alias])
    return [choice if isinstance(choice, str) else choice.path[0] for choice in choices]


def _taken_apart(record: Any) -> tuple[tuple[str, ...], Sequence[Any]]:
    """Return the names and values of *record*, whoever made it."""
    if isinstance(record, FastRecord):
        return record._names, record._data
    mapping = getattr(record, "_mapping", record)
    try:
        return tuple(mapping.keys()), tuple(mapping.values())
    except (AttributeError, TypeError):
        raise RecordTypeError(
            f"cannot take a row of type {type(record).__name__} apart: it has no column names; "
            "give `into` a function that takes the row as it is"
        ) from None


def _no_type(into: Any) -> RecordTypeError:
    return RecordTypeError(
        f"cannot make rows of {into!r}: it is neither a type nor a function; give a dataclass, "
        "NamedTuple, TypedDict, attrs class, msgspec Struct, pydantic model, or a function "
        "that takes the record"
    )


def _name(into: Any) -> str:
    return getattr(into, "__qualname__", None) or repr(into)


def _note(error: Exception, text: str) -> None:
    """Attach *text* to *error*; Python shows it from 3.11 on."""
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:
        error.__dict__.setdefault("__notes__", []).append(text)
