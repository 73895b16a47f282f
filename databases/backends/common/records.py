"""Records: what a row is to the caller.

`make_layout` gives the class that all rows of one statement share: it knows
names, look-up keys and converters, so that a row itself is one small object
that holds its values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy.engine.default import StrCompileDialect
from sqlalchemy.sql.elements import ColumnElement, Label

from databases import interfaces
from databases.backends.common.converters import Converter, converted
from databases.backends.common.rows import Record, Row, create_column_maps, hash_of

__all__ = [
    "FastRecord",
    "Layout",
    "Record",
    "Row",
    "create_column_maps",
    "look_up",
    "make_layout",
    "record_class",
]


class FastRecord:
    """One row of a result; make subclasses with `make_layout`.

    Reads like a mapping (``row["name"]``, ``dict(row)``, iteration over column
    names) and like a sequence (``row[0]``, ``row[-1]``, slices, ``len``).
    """

    __slots__ = ("_data",)

    _names: ClassVar[tuple[str, ...]] = ()
    _keys: ClassVar[Mapping[Any, int]] = {}
    # Made once: `dict(record)` asks every record for it.
    _key_view: ClassVar[KeysView[str]]
    _data: Sequence[Any]

    def __getitem__(self, key: Any) -> Any:
        return self._find(key)

    def _find(self, key: Any) -> Any:
        """Return what *key* asks for when no look-up table has it as it is."""
        return look_up(self._data, self._keys, key)

    @property
    def _mapping(self) -> Mapping[str, Any]:
        return _RecordMapping(self)

    @property
    def _row(self) -> Row:
        # Read by programs: unlike a record, it iterates over values.
        return Row(self, None, self._keys, self._data)

    def keys(self) -> KeysView[str]:
        """Return the column names, each as often as it occurs."""
        return self._key_view

    def values(self) -> list[Any]:
        """Return the values in column order."""
        return list(self._data)

    def items(self) -> ItemsView[str, Any]:
        """Return pairs of column name and value."""
        return self._mapping.items()

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of column *key*, or *default* where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def count(self, value: Any) -> int:
        """Return how many columns are named *value*."""
        return self._names.count(value)

    def index(self, value: Any, *bounds: int) -> int:
        """Return the position of the first column named *value*."""
        return self._names.index(value, *bounds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FastRecord):
            return self._names == other._names and tuple(self._data) == tuple(other._data)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._names, hash_of(self._data)))

    def __repr__(self) -> str:
        pairs = zip(self._names, self._data, strict=True)
        return f"<Record {', '.join(f'{name}={value!r}' for name, value in pairs)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._names, tuple(self._data))


# The mapping's methods were no attributes of records before: columns of such names win.
_METHODS = frozenset(dir(FastRecord)) - {"get", "items"}


class _RecordMapping(Mapping[str, Any]):
    """A record as a mapping; a column name that occurs twice is there twice."""

    __slots__ = ("_record",)

    def __init__(self, record: FastRecord) -> None:
        self._record = record

    def __getitem__(self, key: Any) -> Any:
        return self._record[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._record._names)

    def __len__(self) -> int:
        return len(self._record._names)

    def __contains__(self, key: object) -> bool:
        return FastRecord.get(self._record, key, _MISSING) is not _MISSING

    def items(self) -> Any:
        """Return pairs of column name and value, one per column."""
        return _Items(self)

    def values(self) -> Any:
        """Return the values in column order."""
        return _Values(self)

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class _NameView(KeysView[str]):
    """The column names, each as often as it occurs; the same for all rows."""

    __slots__ = ("_names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        super().__init__(dict.fromkeys(names))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"KeysView({list(self._names)!r})"


class _Items(ItemsView[str, Any]):
    __slots__ = ()
    _mapping: _RecordMapping

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        record = self._mapping._record
        return zip(record._names, record._data, strict=True)


class _Values(ItemsView[str, Any]):
    __slots__ = ()
    _mapping: _RecordMapping

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mapping._record._data)

    def __contains__(self, value: object) -> bool:
        return value in self._mapping._record._data


_MISSING: Any = object()


def make_layout(
    names: Sequence[str],
    columns: Iterable[Sequence[Any]] = (),
    converters: Sequence[Converter | None] = (),
) -> Layout:
    """Return the layout of rows with these columns.

    *columns* holds for each column the SQLAlchemy objects it can be read by;
    *converters* turn a driver's value into the column type's, None keeps it.
    """
    # SQLAlchemy's are of classes of its own, which serializers refuse as keys.
    names = tuple(map(str, names))
    objects = tuple(tuple(each) for each in columns)
    active = tuple((i, convert) for i, convert in enumerate(converters) if convert is not None)
    if not objects and not active:
        return _plain_layout(names)
    return Layout(names, objects, active)


class _PositionError(IndexError, KeyError):
    """No column at that position; a sequence and a mapping raise different errors for it."""

    __str__ = Exception.__str__


def _no_column(position: int, data: Sequence[Any]) -> _PositionError:
    return _PositionError(f"no column {position}: the record has {len(data)} columns")


class Layout:
    """Names, look-up keys and converters of one statement's rows."""

    __slots__ = ("adapted", "converters", "names", "record")

    def __init__(
        self,
        names: tuple[str, ...],
        objects: tuple[tuple[Any, ...], ...] = (),
        converters: tuple[tuple[int, Converter], ...] = (),
    ) -> None:
        self.names = names
        self.converters = converters
        self.record = record_class(names, _lookup_keys(names, objects))
        self.adapted: type[FastRecord] | None = None
        """The class of such rows that are of another expression than what was compiled."""

    def row(self, values: Sequence[Any]) -> FastRecord:
        """Return one record of *values*, converted."""
        record = self.record.__new__(self.record)
        record._data = self._converted(values) if self.converters else values
        return record

    def all(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return a record for each of *rows*, a list of which is made the result itself."""
        new, cls = self.record.__new__, self.record
        if rows.__class__ is list and not self.converters:
            # In its place, the list is not there twice when it is long.
            own: list[Any] = rows
            for index, values in enumerate(rows):
                record = own[index] = new(cls)
                record._data = values
            return own
        records: list[Any] = []
        append = records.append
        for values in converted(rows, self.converters) if self.converters else rows:
            record = new(cls)
            record._data = values
            append(record)
        return records

    def value(self, values: Sequence[Any], column: Any) -> Any:
        """Return the value of *column*, converted, without making a record."""
        if column.__class__ is int:
            try:
                value = values[column]
            except IndexError:
                raise _no_column(column, values) from None
            index = column if column >= 0 else column + len(values)
            for position, convert in self.converters:
                if position == index:
                    return convert(value)
            return value
        return self.row(values)[column]

    def _converted(self, values: Sequence[Any]) -> list[Any]:
        converted = list(values)
        for index, convert in self.converters:
            converted[index] = convert(converted[index])
        return converted


@functools.lru_cache(maxsize=1024)
def _plain_layout(names: tuple[str, ...]) -> Layout:
    return Layout(names)


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> FastRecord:
    return _plain_layout(names).row(values)


def _lookup_keys(names: tuple[str, ...], objects: tuple[tuple[Any, ...], ...]) -> dict[Any, int]:
    keys: dict[Any, int] = {}
    for index, name in enumerate(names):
        keys.setdefault(name, index)
        keys[index] = index
        keys[index - len(names)] = index
    for index, each in enumerate(objects):
        for key in each:
            keys.setdefault(key, index)
    return keys


def record_class(
    names: tuple[str, ...], keys: Mapping[Any, int], base: type[FastRecord] = FastRecord
) -> type[FastRecord]:
    """Return the class of rows with the columns *names*, each look-up key at its place."""

    def get_item(self: FastRecord, key: Any) -> Any:
        try:
            return self._data[keys[key]]
        except (KeyError, TypeError):
            return self._find(key)

    # Read through __getitem__, an attribute would cost a Python call.
    attributes: dict[str, Any] = {
        name: property(_getter(keys[name])) for name in names if name not in _METHODS
    }
    attributes.update(
        __slots__=(),
        __getitem__=get_item,
        _names=names,
        _keys=keys,
        _key_view=_NameView(names),
    )
    return type("Record", (base,), attributes)


def _getter(index: int) -> Callable[[FastRecord], Any]:
    def get(record: FastRecord) -> Any:
        return record._data[index]

    return get


def look_up(data: Sequence[Any], keys: Mapping[Any, int], key: Any) -> Any:
    """Return what *key* asks of *data* when no look-up table has it as it is.

    A column is found by its name where the record's column of that name may be
    the same one: seen through an alias or a subquery, or of no table that is
    known, as where the query was a string. Else by its text, also behind a label.
    """
    if isinstance(key, slice):
        return tuple(data[key])
    if not isinstance(key, (str, int)):
        clause = key.__clause_element__() if hasattr(key, "__clause_element__") else key
        if isinstance(clause, ColumnElement):
            for name in (clause, str(clause)):
                if name in keys:
                    return data[keys[name]]
            index = keys.get(getattr(clause, "key", None))
            if index is not None and _may_be_at(index, clause, keys):
                return data[index]
            index = _index_by_text(clause, keys)
            if index is not None:
                return data[index]
    if isinstance(key, int):
        raise _no_column(key, data)
    raise KeyError(key)


def _may_be_at(index: int, column: Any, keys: Mapping[Any, int]) -> bool:
    if getattr(column, "table", None) is None:
        return True
    known = [each for each, at in keys.items() if at == index and isinstance(each, ColumnElement)]
    return not known or any(column.shares_lineage(each) for each in known)


def _index_by_text(column: Any, keys: Mapping[Any, int]) -> int | None:
    """Return the place of the one column that reads as *column* or is a label of what does."""
    wanted = _reading(column)
    found = {
        index
        for key, index in keys.items()
        if isinstance(key, ColumnElement)
        and _reading(key.element if isinstance(key, Label) else key) == wanted
    }
    return found.pop() if len(found) == 1 else None


def _reading(column: Any) -> tuple[str, list[Any]]:
    """Return text and values of *column*."""
    compiled = column.compile(dialect=StrCompileDialect())
    return str(compiled), list(compiled.params.values())


interfaces.Record.register(FastRecord)
Record.register(FastRecord)
