"""Points of the growth curves: how cost changes with the size of the task."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import sqlalchemy as sa

from benchmarks.tables import MANY, READ, items

__all__ = ["CURVES", "columns", "rows", "statements", "tasks"]

CURVES = {
    "tasks": ("tasks waiting on a pool of 10", (100, 1000, 3000, 10_000), "task"),
    "statements": ("distinct statements", (10, 100, 400, 1000, 2000), "statement"),
    "columns": ("columns", (10, 100, 300, 1000), "value"),
    "rows": ("rows", (1000, 10_000, 100_000, 1_000_000), "row"),
}
"""Name to what grows, its sizes, and what the cost is divided by."""


async def tasks(contender: Any, size: int) -> dict[str, Any]:
    """Let *size* tasks wait for a pool of 10 at once.

    ``tail`` is how long the 99th of a hundred took, start to end, as a
    multiple of the mean.
    """
    query = items.select().where(items.c.id == 1)
    order: list[int] = []
    took: list[float] = []

    async def work(number: int) -> None:
        async with database.connection() as connection:
            order.append(number)
            await connection.fetch_one(query)
        took.append(time.perf_counter() - started)

    async with contender.another(max_size=10) as database:
        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work(number) for number in range(size)))
        spent = time.process_time() - cpu
    took.sort()
    return {
        "cpu": spent / size,
        "in_order": order == sorted(order),
        "tail": took[int(size * 0.99)] / (sum(took) / size),
    }


async def statements(contender: Any, size: int) -> dict[str, Any]:
    """Run *size* different statements, again and again in the same order."""
    queries = [
        sa.select(items.c.id, items.c.name.label(f"name_{number}")).where(items.c.id == 1)
        for number in range(size)
    ]
    for query in queries:
        await contender.database.fetch_one(query)
    repeats = max(2000 // size, 1)
    cpu = time.process_time()
    for _ in range(repeats):
        for query in queries:
            await contender.database.fetch_one(query)
    return {"cpu": (time.process_time() - cpu) / (size * repeats)}


async def columns(contender: Any, size: int) -> dict[str, Any]:
    """Read rows of *size* columns, every value by name."""
    names = [f"c{number}" for number in range(size)]
    listed = ", ".join(f"id AS {name}" for name in names)
    sql = f"SELECT {listed} FROM bench_items WHERE id <= 100"
    await contender.database.fetch_all(sql)
    repeats = max(1000 // size, 1)
    cpu = time.process_time()
    for _ in range(repeats):
        for row in await contender.database.fetch_all(sql):
            for name in names:
                row[name]
    return {"cpu": (time.process_time() - cpu) / (size * 100 * repeats)}


async def rows(contender: Any, size: int) -> dict[str, Any]:
    """Read *size* rows at once."""
    sql = MANY.replace(":times", str(max(size // READ, 1))).replace(":last", str(READ))
    await contender.all_rows(f"{sql} AND a.id < 10")
    repeats = max(100_000 // size, 1)
    count = 0
    cpu = time.process_time()
    for _ in range(repeats):
        count += await contender.all_rows(sql)
    return {"cpu": (time.process_time() - cpu) / count}
