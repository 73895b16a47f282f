"""One contender's process: does what the controller asks over a pipe, and says what it cost."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any, TextIO

from benchmarks import growth, memory_use
from benchmarks.answers import plain
from benchmarks.contenders import make_contender
from benchmarks.tables import groups, item_rows, items, schema
from benchmarks.workloads import WORKLOADS

__all__ = ["main"]

PACKAGES = (
    "sqlalchemy aiosqlite asyncpg psycopg psycopg_pool aiopg psycopg2_binary aiomysql pymysql "
    "asyncmy uvloop greenlet tortoise_orm"
).split()


class Worker:
    """A contender and the event loop it lives on."""

    def __init__(self, kind: str, backend: str, loop: asyncio.AbstractEventLoop) -> None:
        self._contender = make_contender(kind, backend)
        self._backend = backend
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* to its end."""
        return self._loop.run_until_complete(work)

    def open(self, url: str) -> None:
        """Connect."""
        self.run(self._contender.open(url))

    def close(self) -> None:
        """Disconnect."""
        self.run(self._contender.close())
        self._loop.close()

    def workloads(self) -> list[str]:
        """Return the names of the workloads that the contender has."""
        return [name for name in WORKLOADS if hasattr(self._contender, name)]

    def answer(self, workload: str, count: int) -> Any:
        """Return what *workload* answers, as JSON can carry it."""
        found = self.run(getattr(self._contender, workload)(count))
        return plain(found, typed=WORKLOADS[workload].typed)

    def slice(self, workload: str, count: int) -> list[float]:
        """Return the CPU and the wall time that *count* times *workload* took."""
        method = getattr(self._contender, workload)
        if count > 1:
            # What a second of idleness costs, a ping for example, is not counted.
            self.run(method(1))
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        self.run(method(count))
        return [time.process_time() - cpu, time.perf_counter() - wall]

    def make_tables(self) -> None:
        """Make the tables and fill them."""
        self.run(self._make_tables())

    def clear_log(self) -> None:
        """Empty the table that is written."""
        self.run(self._contender.run("DELETE FROM bench_log"))

    def drop_tables(self) -> None:
        """Remove the tables."""
        for name in ("bench_items", "bench_log", "bench_groups"):
            self.run(self._contender.run(f"DROP TABLE IF EXISTS {name}"))

    def read(self, sql: str) -> Any:
        """Return the rows of *sql*."""
        return plain(self.run(self._contender.read(sql)))

    def memory(self, way: str, sql: str) -> Any:
        """Return rows read and the growth of peak memory in bytes; *way* is a method's name."""
        return memory_use.measure(lambda: self.run(getattr(self._contender, way)(sql)))

    def leak(self, tasks: int) -> Any:
        """Return the growth of memory that *tasks* short tasks leave."""
        return self.run(memory_use.leak(self._contender, tasks))

    def grow(self, curve: str, size: int) -> Any:
        """Return one point of a growth curve."""
        return self.run(getattr(growth, curve)(self._contender, size))

    async def _make_tables(self) -> None:
        contender = self._contender
        for statement in schema(_dialect_of(self._backend)):
            await contender.run(statement)
        rows = [
            (*(row[name] for name in list(row)[:-1]), json.dumps(row["data"]))
            for row in item_rows()
        ]
        names = ", ".join(column.name for column in items.c)
        marks = ", ".join(f":{column.name}" for column in items.c)
        await contender.fill(f"INSERT INTO bench_items ({names}) VALUES ({marks})", rows)
        titles = [(number, f"group {number}") for number in range(1, 101)]
        await contender.fill(f"INSERT INTO {groups.name} (id, title) VALUES (:id, :title)", titles)


def main() -> None:
    """Answer the controller until it closes the pipe."""
    kind, backend, loop_kind, version = sys.argv[3:7]
    # What a library prints must not come between the answers.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # MySQL's drivers warn of tables that are not there to be dropped.
    warnings.simplefilter("ignore")
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
    try:
        worker = Worker(kind, backend, _make_loop(loop_kind))
        if version:
            _check_version(version)
    except (ImportError, LookupError) as error:
        _reply(replies, {"missing": str(error)})
        return
    _reply(replies, {"done": _versions()})
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        _reply(replies, _outcome(getattr(worker, name), arguments))


def _outcome(verb: Callable[..., Any], arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"done": verb(*arguments)}
    except Exception as error:  # noqa: BLE001  # a contender may fail in any way
        return {"failed": f"{type(error).__name__}: {error}"}


def _reply(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")


def _make_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        loop = asyncio.new_event_loop()
    else:
        loop = importlib.import_module(kind).new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def _check_version(version: str) -> None:
    databases = importlib.import_module("databases")
    found = getattr(databases, "__version__", "without a version")
    if found != version:
        raise ImportError(f"databases {version} is not installed, but {found} is")


def _versions() -> dict[str, str]:
    # By name as it is written in the metadata: `PyMySQL`, `psycopg-pool`.
    installed = {
        each.name.lower().replace("-", "_"): each.version for each in metadata.distributions()
    }
    found = {name: installed[name] for name in PACKAGES if name in installed}
    return {"Python": platform.python_version(), **found}


def _dialect_of(backend: str) -> Any:
    name = {"aiomysql": "mysql", "asyncmy": "mysql", "sqlite": "sqlite"}.get(backend, "postgresql")
    return importlib.import_module(f"sqlalchemy.dialects.{name}").dialect()
