"""The workloads: their names, what they do, and the cost this library is held to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BARS", "TOLERANCE", "WORKLOADS", "Workload", "bar_of", "chosen", "family_of"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing that applications do with a database."""

    name: str
    what: str
    writes: bool = False
    """Whether it adds rows to the log table, which is emptied before each slice."""
    typed: bool = True
    """Whether the types of the columns are known, and JSON comes decoded."""


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("w1", "fetch_one by primary key, string", typed=False),
        Workload("w1h", "the same on a held connection", typed=False),
        Workload("w2", "fetch_one by primary key, Core built per call"),
        Workload("w3", "fetch_all of 1000 rows of 6, Core, every value read by name"),
        Workload("w3b", "the same, read by attribute"),
        Workload("w3c", "the same, each row as dict(row)"),
        Workload("w3d", "the same as a string, read by name", typed=False),
        Workload("w4", "insert, Core", writes=True),
        Workload("w5", "execute_many of 1000 rows", writes=True),
        Workload("w6", "iterate over 10 000 rows"),
        Workload("w7", "transaction: begin, insert, select, commit", writes=True),
        Workload("w9", "200 tasks of 20 Core reads, pool of 10"),
        Workload("w10", "select, join, where, order by, limit"),
        Workload("w11", "IN of 100"),
        Workload("w12", "connect, query, disconnect", typed=False),
    )
}

TOLERANCE = 1.1
"""Noise allowed for: a bar holds up to this many times itself."""

_NAMES = "w1 w1h w2 w3 w3b w3d w4 w5 w6 w7 w9 w11".split()
BARS: dict[str, dict[str, float]] = {
    "postgresql": dict(
        zip(_NAMES, (0.45, 1.2, 1.15, 1.25, 1.4, 1.1, 1.3, 1.3, 1.6, 2.2, 0.9, 1.8), strict=True)
    ),
    "sqlite": dict(
        zip(_NAMES, (0.5, 0.5, 1.0, 1.35, 1.4, 1.4, 1.6, 1.4, 1.9, 1.2, 1.9, 3.0), strict=True)
    ),
    "mysql": dict(
        zip(_NAMES, (1.0, 1.1, 1.5, 1.2, 1.3, 0.65, 1.6, 1.3, 1.3, 2.2, 1.6, 1.6), strict=True)
    ),
}
"""Client CPU as a multiple of the driver's by hand, by family and workload."""

# asyncpg's pool sends a reset query each time a connection comes back, and ours
# only when one is needed. The pools of the other drivers send none: there is
# nothing to save, and the bars are those of MySQL, whose pools send none either.
BARS["postgresql without reset"] = BARS["postgresql"] | {
    name: BARS["mysql"][name] for name in ("w1", "w2", "w4", "w9")
}

FAMILIES = {
    "sqlite": "sqlite",
    "asyncpg": "postgresql",
    "psycopg": "postgresql without reset",
    "aiopg": "postgresql without reset",
    "aiomysql": "mysql",
    "asyncmy": "mysql",
}
"""The backends, and whose bars they are held to."""


def family_of(backend: str) -> str:
    """Return the kind of database that *backend* talks to."""
    return FAMILIES[backend]


def bar_of(backend: str, workload: str) -> float | None:
    """Return the bar of *workload*, None where there is none."""
    return BARS[family_of(backend)].get(workload)


def chosen(words: str) -> list[Workload]:
    """Return the workloads that *words* names, separated by commas; ``all`` names all.

    Raises `ValueError` for one that does not exist.
    """
    if words == "all":
        return list(WORKLOADS.values())
    names = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown or not names:
        raise ValueError(
            f"cannot run the workload {', '.join(unknown) or words!r}: there is none of that name; "
            f"choose from {', '.join(WORKLOADS)}"
        )
    return [WORKLOADS[name] for name in names]
