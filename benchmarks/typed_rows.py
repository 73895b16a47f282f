"""What `into=` adds to a row: ``python -m benchmarks.typed_rows`` prints it as a table.

No database is asked. Records of six columns, as a driver's rows become, are
made into objects by what `fetch_all` does with them.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic

from databases.backends.common.records import make_layout
from databases.shapes import shape_of

NAMES = ("id", "name", "size", "price", "code", "note")
ROWS = 1000
ROUNDS = 200


@dataclasses.dataclass
class Dataclass:
    """Positional arguments of a plain constructor."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


@dataclasses.dataclass(kw_only=True)
class Keywords:
    """The same, by keyword."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


class Named(NamedTuple):
    """A tuple with names."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


class Typed(TypedDict):
    """A dict."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


@attrs.define
class Attrs:
    """A class with slots."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


class Struct(msgspec.Struct):
    """Validated in C."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


class Model(pydantic.BaseModel):
    """Validated in Rust."""

    id: int
    name: str
    size: int
    price: float
    code: str
    note: str | None


KINDS: dict[str, Any] = {
    "tuple": tuple,
    "function": lambda record: record["name"],
    "TypedDict": Typed,
    "NamedTuple": Named,
    "attrs": Attrs,
    "dataclass": Dataclass,
    "dataclass, by keyword": Keywords,
    "msgspec, validated": Struct,
    "pydantic, validated": Model,
}


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the CPU time of *work*, per row in nanoseconds, in the best of *rounds*."""
    times = []
    for _ in range(rounds):
        begun = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - begun)
    return min(times) / ROWS


def main(arguments: Sequence[str]) -> int:
    """Print the table; *arguments* may hold the number of rounds."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    layout = make_layout(NAMES)
    rows = [(n, f"name {n}", n % 7, n / 4, "abc", None) for n in range(ROWS)]
    records = layout.all(rows)
    print("| a row becomes | adds, ns of CPU |")
    print("| --- | --- |")
    print(f"| a record (always made) | {best(lambda: layout.all(rows), rounds):.0f} |")
    for name, kind in KINDS.items():
        shape = shape_of(kind)
        print(f"| {name} | {best(lambda s=shape: s.all(records), rounds):.0f} |")  # type: ignore[misc]
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
