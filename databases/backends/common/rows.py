"""Rows: the records that third-party backends build by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.engine.interfaces import Dialect

from databases import interfaces

__all__ = ["Record", "Row", "create_column_maps", "hash_of"]

ColumnMaps = tuple[
    Mapping[str, tuple[int, Any]], Mapping[int, tuple[int, Any]], Mapping[str, tuple[int, Any]]
]


class Row(Sequence[Any]):
    """The driver row that a record is over: ``record._row``, and what third parties build.

    *metadata* has ``keys``; *keymap* maps a key to a sequence that begins with
    its position; *processors* convert values and may be None.
    """

    __slots__ = ("_data", "_keymap", "_metadata")

    def __init__(self, metadata: Any, processors: Any, keymap: Any, data: Any) -> None:
        if processors:
            data = [p(v) if p else v for p, v in zip(processors, data, strict=True)]
        self._metadata = metadata
        self._keymap = keymap
        self._data = tuple(data)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, slice)):
            return self._data[key]
        entry = self._keymap[key]
        return self._data[entry if isinstance(entry, int) else entry[0]]

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Row.__slots__:
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def keys(self) -> Any:
        """Return the column names."""
        keys = getattr(self._metadata, "keys", None)
        return list(keys() if callable(keys) else keys or ())

    def values(self) -> list[Any]:
        """Return the values in column order."""
        return list(self._data)

    def items(self) -> list[tuple[str, Any]]:
        """Return pairs of column name and value."""
        return list(zip(self.keys(), self._data, strict=True))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of column *key*, or *default* where there is none."""
        try:
            return self[key]
        except LookupError:
            return default

    def __eq__(self, other: object) -> bool:
        return self._data == (other._data if isinstance(other, Row) else other)

    def __hash__(self) -> int:
        return hash_of(self._data)

    def __repr__(self) -> str:
        return repr(self._data)

    @property
    def _mapping(self) -> Mapping[str, Any]:
        return dict(zip(self.keys(), self._data, strict=True))


class Record(interfaces.Record):
    """A record over a driver row, converted at each look-up; for third-party backends."""

    __slots__ = (
        "_column_map",
        "_column_map_full",
        "_column_map_int",
        "_dialect",
        "_result_columns",
        "_row",
    )

    def __init__(
        self, row: Any, result_columns: Sequence[Any], dialect: Dialect, column_maps: ColumnMaps
    ) -> None:
        self._row = row
        self._result_columns = result_columns
        self._dialect = dialect
        self._column_map, self._column_map_int, self._column_map_full = column_maps

    @property
    def _mapping(self) -> Mapping[str, Any]:
        return {name: self[position] for position, name in enumerate(self.keys())}

    def keys(self) -> list[str]:
        """Return the column names."""
        row = self._row
        return list(row.keys() if hasattr(row, "keys") else self._column_map)

    def values(self) -> list[Any]:
        """Return the converted values in column order."""
        return [self[position] for position in range(len(self))]

    def __getitem__(self, key: Any) -> Any:
        if len(self._column_map) == 0 or isinstance(key, slice):
            return self._row[key]
        if isinstance(key, int):
            index, type_ = self._column_map_int[key if key >= 0 else key + len(self)]
        elif isinstance(key, str):
            index, type_ = self._column_map[key]
        else:
            found = self._column_map_full.get(str(key)) or self._column_map.get(key.name)
            if found is None:
                raise KeyError(key)
            index, type_ = found
        value = self._row[index]
        # Only asyncpg's rows come as they are on the wire, and JSON there as
        # text unless a codec was set; all others were converted by `Row`.
        if self._dialect.name != "postgresql" or isinstance(value, (dict, list)):
            return value
        convert = type_._cached_result_processor(self._dialect, None)
        return value if convert is None else convert(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in self.__slots__:
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._row)


def hash_of(values: Sequence[Any]) -> int:
    """Return a hash of the *values* that have one: lists and dicts have none."""
    values = tuple(values)
    try:
        return hash(values)
    except TypeError:
        return hash(tuple(map(_hash_or_nothing, values)))


def _hash_or_nothing(value: Any) -> int:
    try:
        return hash(value)
    except TypeError:
        return 0


def create_column_maps(result_columns: Sequence[Any]) -> ColumnMaps:
    """Return three mappings: by name, by position, by column text.

    Each gives ``(position, type)``. *result_columns* is SQLAlchemy's
    ``Compiled._result_columns``: entries of name, name, objects, type.
    """
    by_name: dict[str, tuple[int, Any]] = {}
    by_position: dict[int, tuple[int, Any]] = {}
    by_text: dict[str, tuple[int, Any]] = {}
    for position, (_, name, objects, type_) in enumerate(result_columns):
        by_name[name] = by_position[position] = (position, type_)
        by_text[str(objects[0])] = (position, type_)
    return by_name, by_position, by_text
