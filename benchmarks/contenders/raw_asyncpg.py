"""asyncpg by hand, with its own pool."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from benchmarks.contenders.reading import by_name, by_name_decoding, in_tasks, whole
from benchmarks.tables import READ, log_values, numbers, styled, texts

__all__ = ["RawAsyncpg", "make"]

ONE, PAGE, STREAM, JOIN, INSERT, LOGGED = texts("numeric")
LISTED = "SELECT id, name FROM bench_items WHERE id = ANY($1) ORDER BY id"


class RawAsyncpg:
    """`asyncpg.create_pool()`, used as its documentation shows."""

    def __init__(self) -> None:
        self._url = ""
        self.pool: Any = None

    async def open(self, url: str) -> None:
        """Make the pool."""
        self._url = "postgresql://" + url.partition("://")[2]
        self.pool = await asyncpg.create_pool(self._url, min_size=1, max_size=10)

    async def close(self) -> None:
        """Close the pool."""
        await self.pool.close()

    async def run(self, sql: str) -> None:
        """Run one statement."""
        await self.pool.execute(sql)

    async def fill(self, sql: str, rows: list[Any]) -> None:
        """Run *sql* once per row."""
        await self.pool.executemany(styled(sql, "numeric"), rows)

    async def read(self, sql: str) -> list[Any]:
        """Return all rows of *sql*."""
        return [list(row) for row in await self.pool.fetch(sql)]

    async def w1(self, count: int) -> Any:
        """Read one row by primary key."""
        pool, row = self.pool, None
        for number in numbers(count):
            async with pool.acquire() as connection:
                row = await connection.fetchrow(ONE, number)
        return list(row or ())

    async def w1h(self, count: int) -> Any:
        """Read the same on a held connection."""
        row: Any = None
        async with self.pool.acquire() as connection:
            for number in numbers(count):
                row = await connection.fetchrow(ONE, number)
        return list(row)

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, its JSON decoded."""
        pool = self.pool
        values: Any = None
        for number in numbers(count):
            async with pool.acquire() as connection:
                values = whole(tuple(await connection.fetchrow(ONE, number)))
        return values

    async def _fetch(self, sql: str, *args: Any) -> Any:
        async with self.pool.acquire() as connection:
            return await connection.fetch(sql, *args)

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name_decoding(await self._fetch(PAGE, READ))
        return values

    w3b = w3

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = [
                {**row, "data": json.loads(row["data"])} for row in await self._fetch(PAGE, READ)
            ]
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows by name, nothing decoded."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._fetch(PAGE, READ))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            async with self.pool.acquire() as connection:
                await connection.fetchval(f"{INSERT} RETURNING id", *log_values(number))

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            rows = [log_values(number) for number in range(1000)]
            async with self.pool.acquire() as connection:
                await connection.executemany(INSERT, rows)

    async def w6(self, count: int) -> Any:
        """Iterate."""
        total, name = 0, None
        for _ in range(count):
            async with self.pool.acquire() as connection, connection.transaction():
                async for row in connection.cursor(STREAM):
                    total += row["id"]
                    name = row["name"]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with self.pool.acquire() as connection, connection.transaction():
                values = log_values(number)
                key = await connection.fetchval(f"{INSERT} RETURNING id", *values)
                row = await connection.fetchrow(LOGGED, key)
        return [row["name"], row["amount"]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self._fetch(JOIN, number, "none")
        return [[row["id"], row["name"], row["title"]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self._fetch(LISTED, list(range(number, number + 100)))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            async with asyncpg.create_pool(self._url, min_size=1, max_size=10) as pool:
                row = await pool.fetchrow(ONE, number)
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._fetch(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with self.pool.acquire() as connection, connection.transaction():
            async for _ in connection.cursor(sql):
                count += 1
        return count


def make(backend: str) -> RawAsyncpg:  # noqa: ARG001  # the same call for all drivers
    """Return the contender."""
    return RawAsyncpg()
