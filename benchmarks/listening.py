"""What listening costs: a read by primary key with nobody listening, and with somebody.

python -m benchmarks.listening                  a private SQLite file
python -m benchmarks.listening --url URL        any database; it makes and drops a table
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from databases import Database
from databases.contrib.opentelemetry import instrument
from databases.events import SlowQueries

__all__ = ["main"]

TABLE = "bench_listening"
QUERY = f"SELECT id, text FROM {TABLE} WHERE id = :id"
SLICE = 400
"""Reads in one slice."""


def _nothing(*_: object) -> None:
    """Do what a listener costs at least."""


def _with_opentelemetry(database: Database) -> Callable[[], None]:
    return instrument(database, tracer_provider=TracerProvider(), meter_provider=MeterProvider())


WAYS: dict[str, Callable[[Database], Callable[[], None]]] = {
    "nobody listens": lambda _: _nothing,
    "a listener": lambda database: database.listen(_nothing),
    "slow_query_threshold": lambda database: database.listen(SlowQueries(60)),
    "OpenTelemetry, its SDK included": _with_opentelemetry,
}


def main() -> None:
    """Print the CPU time of a read in each way, in microseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listening", description=__doc__)
    parser.add_argument("--url", help="the database; else a private SQLite file")
    parser.add_argument("--rounds", type=int, default=15, help="slices of each way (15)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'listening.db'}"
        costs = asyncio.run(_measure(url, options.rounds))
    base = statistics.median(costs["nobody listens"])
    for name, each in costs.items():
        ratio = statistics.median(
            cost / alone for cost, alone in zip(each, costs["nobody listens"], strict=True)
        )
        print(f"{name:34} {statistics.median(each) * 1e6:7.1f} µs   {ratio:5.2f}")
    print(
        f"w1, CPU per read; medians of {options.rounds} interleaved slices; base {base * 1e6:.1f}"
    )


async def _measure(url: str, rounds: int) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {name: [] for name in WAYS}
    async with Database(url) as database:
        await database.execute(f"DROP TABLE IF EXISTS {TABLE}")
        await database.execute(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, text VARCHAR(20))")
        await database.execute(f"INSERT INTO {TABLE} (id, text) VALUES (1, 'one')")
        try:
            for _ in range(rounds + 1):
                for name, start in WAYS.items():
                    stop = start(database)
                    costs[name].append(await _slice(database))
                    stop()
        finally:
            await database.execute(f"DROP TABLE {TABLE}")
    return {name: each[1:] for name, each in costs.items()}  # the first ones warm up


async def _slice(database: Database) -> float:
    values = {"id": 1}
    begun = time.process_time()
    for _ in range(SLICE):
        await database.fetch_one(QUERY, values)
    return (time.process_time() - begun) / SLICE


if __name__ == "__main__":
    main()
