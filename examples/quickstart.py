"""A tour of `databases` in six steps: `python examples/quickstart.py [DATABASE_URL]`.

Without a URL it runs on SQLite, in a temporary file. With one, it drops and
creates its own tables there; their names begin with `quickstart_`. It exits
with 1 if one of its results is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.schema import CreateTable, DropTable

from databases import Database
from databases.errors import ConfigurationError

metadata = sqlalchemy.MetaData()

books = sqlalchemy.Table(
    "quickstart_books",
    metadata,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("title", sqlalchemy.String(100), nullable=False),
    sqlalchemy.Column("pages", sqlalchemy.Integer, nullable=False, default=100),
)

readings = sqlalchemy.Table(
    "quickstart_readings",
    metadata,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("celsius", sqlalchemy.Integer, nullable=False),
)

counters = sqlalchemy.Table(
    "quickstart_counters",
    metadata,
    sqlalchemy.Column("name", sqlalchemy.String(20), primary_key=True),
    sqlalchemy.Column("value", sqlalchemy.Integer, nullable=False),
)

visits = sqlalchemy.Table(
    "quickstart_visits",
    metadata,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("visitor", sqlalchemy.Integer, nullable=False),
)

READINGS = 5_000
TASKS = 200


@dataclass(frozen=True)
class Result:
    """What one step expected, what it got, and how long it took."""

    step: str
    expected: Any
    got: Any
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it got what it expected."""
        return bool(self.expected == self.got)


class SecondThoughtsError(Exception):
    """Raised in a transaction, to roll it back."""


async def make_tables(database: Database) -> tuple[Any, Any]:
    """Execute SQLAlchemy's DDL elements, like any query."""
    with warnings.catch_warnings():
        # MySQL drivers warn of each table that was not there to be dropped.
        warnings.simplefilter("ignore")
        for table in reversed(metadata.sorted_tables):
            await database.execute(DropTable(table, if_exists=True))
    for table in metadata.sorted_tables:
        await database.execute(CreateTable(table))

    found = [
        await database.fetch_val(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
        for table in metadata.sorted_tables
    ]
    return [0, 0, 0, 0], found


async def insert_rows(database: Database) -> tuple[Any, Any]:
    """Use SQLAlchemy expressions, or strings with `:name` parameters."""
    await database.execute(books.insert().values(title="Dune", pages=612))
    await database.execute(books.insert(), {"title": "Emma"})  # pages: the column's default
    await database.execute(
        "INSERT INTO quickstart_books (title, pages) VALUES (:title, :pages)",
        {"title": "Ulysses", "pages": 730},
    )

    rows = await database.fetch_all(books.select().order_by(books.c.title))
    return (
        [("Dune", 612), ("Emma", 100), ("Ulysses", 730)],
        [(row["title"], row["pages"]) for row in rows],
    )


async def insert_many(database: Database) -> tuple[Any, Any]:
    """Insert all rows or none with `execute_many`."""
    rows = [{"celsius": number % 40} for number in range(READINGS)]
    await database.execute_many(readings.insert(), rows)

    got = await database.fetch_val("SELECT COUNT(*) FROM quickstart_readings")
    return READINGS, got


async def stream_rows(database: Database) -> tuple[Any, Any]:
    """Read in batches with `iterate`: memory does not grow with the result."""
    total = 0
    async for row in database.iterate(readings.select().order_by(readings.c.id)):
        total += row["celsius"]

    return sum(number % 40 for number in range(READINGS)), total


async def nest_transactions(database: Database) -> tuple[Any, Any]:
    """Undo the inner transaction and keep the outer one."""
    async with database.transaction():
        await database.execute(books.insert().values(title="Kept"))
        try:
            async with database.transaction():
                await database.execute(books.insert().values(title="Undone"))
                raise SecondThoughtsError
        except SecondThoughtsError:
            pass

    titles = sqlalchemy.select(books.c.title).where(books.c.title.in_(["Kept", "Undone"]))
    return ["Kept"], [row["title"] for row in await database.fetch_all(titles)]


async def run_concurrently(database: Database) -> tuple[Any, Any]:
    """Give every call of a decorated function a transaction of its own."""
    await database.execute(counters.insert().values(name="visits", value=0))

    @database.transaction()
    async def visit(visitor: int) -> None:
        # Write first, read later: so each task waits for its turn at the row.
        one_more = counters.update().values(value=counters.c.value + 1)
        await database.execute(one_more.where(counters.c.name == "visits"))
        await database.execute(visits.insert().values(visitor=visitor))
        if visitor % 10 == 0:
            raise SecondThoughtsError

    outcomes = await asyncio.gather(
        *(visit(visitor) for visitor in range(TASKS)), return_exceptions=True
    )
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, SecondThoughtsError):
            raise outcome

    kept = [visitor for visitor in range(TASKS) if visitor % 10 != 0]
    value = await database.fetch_val(sqlalchemy.select(counters.c.value))
    rows = await database.fetch_all(sqlalchemy.select(visits.c.visitor))
    return (len(kept), kept), (value, sorted(row["visitor"] for row in rows))


Step = Callable[[Database], Awaitable[tuple[Any, Any]]]

STEPS: Sequence[tuple[str, Step]] = (
    ("drop and create four tables", make_tables),
    ("insert three rows", insert_rows),
    (f"insert {READINGS} rows at once", insert_many),
    (f"stream {READINGS} rows", stream_rows),
    ("roll back inside a transaction", nest_transactions),
    (f"{TASKS} tasks, one decorator", run_concurrently),
)


async def run(url: str) -> list[Result]:
    """Run every step on *url*, each after the other."""
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        # SQLite has one writer at a time: let the others wait for it.
        options = {"timeout": 60, "max_size": 10}

    results = []
    async with Database(url, **options) as database:
        print(f"connected to {database.url!r}\n")
        for name, step in STEPS:
            print(f"- {name}: {(step.__doc__ or '').strip()}")
            started = time.perf_counter()
            expected, got = await step(database)
            results.append(Result(name, expected, got, time.perf_counter() - started))
        for table in reversed(metadata.sorted_tables):
            await database.execute(DropTable(table))
    return results


def show(results: Sequence[Result]) -> None:
    """Print a table of *results*."""
    width = max(len(result.step) for result in results)
    print(f"\n{'step':{width}}  {'result':30}  {'seconds':>8}")
    print(f"{'-' * width}  {'-' * 30}  {'-' * 8}")
    for result in results:
        text = str(result.got)
        text = text if len(text) <= 30 else f"{text[:27]}..."
        print(f"{result.step:{width}}  {text:30}  {result.seconds:8.3f}")
        if not result.ok:
            print(f"  WRONG: expected {result.expected!r}\n         got      {result.got!r}")


def main() -> int:
    """Run the tour; return the exit status."""
    parser = argparse.ArgumentParser(description="A tour of databases, in six steps.")
    parser.add_argument("url", nargs="?", metavar="DATABASE_URL", help="default: SQLite")
    url = parser.parse_args().url
    try:
        if url is not None:
            results = asyncio.run(run(url))
        else:
            with tempfile.TemporaryDirectory() as folder:
                results = asyncio.run(run(f"sqlite:///{Path(folder) / 'quickstart.db'}"))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2

    show(results)
    wrong = [result for result in results if not result.ok]
    print(f"\n{len(results) - len(wrong)} of {len(results)} results are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
