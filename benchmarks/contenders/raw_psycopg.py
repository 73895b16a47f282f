"""psycopg 3 by hand, with the pool of `psycopg_pool`."""

from __future__ import annotations

import importlib
from typing import Any

from psycopg.rows import dict_row

from benchmarks.contenders.reading import by_name, in_tasks
from benchmarks.tables import READ, log_values, numbers, styled, texts

__all__ = ["RawPsycopg", "make"]

ONE, PAGE, STREAM, JOIN, INSERT, LOGGED = texts("format")
LISTED = "SELECT id, name FROM bench_items WHERE id = ANY(%s) ORDER BY id"


AsyncConnectionPool: Any = importlib.import_module("psycopg_pool").AsyncConnectionPool


class RawPsycopg:
    """`AsyncConnectionPool`, used as psycopg's documentation shows.

    psycopg decodes JSON itself.
    """

    def __init__(self) -> None:
        self._url = ""
        self.pool: Any = None

    def _make_pool(self) -> Any:
        return AsyncConnectionPool(
            self._url, kwargs={"autocommit": True}, min_size=1, max_size=10, open=False
        )

    async def open(self, url: str) -> None:
        """Make the pool."""
        self._url = "postgresql://" + url.partition("://")[2]
        self.pool = self._make_pool()
        await self.pool.open(wait=True)

    async def close(self) -> None:
        """Close the pool."""
        await self.pool.close()

    async def run(self, sql: str) -> None:
        """Run one statement."""
        async with self.pool.connection() as connection:
            await connection.execute(sql)

    async def fill(self, sql: str, rows: list[Any]) -> None:
        """Run *sql* once per row."""
        async with self.pool.connection() as connection, connection.cursor() as cursor:
            await cursor.executemany(styled(sql, "format"), rows)

    async def read(self, sql: str) -> list[Any]:
        """Return all rows of *sql*."""
        async with self.pool.connection() as connection:
            return [list(row) for row in await (await connection.execute(sql)).fetchall()]

    async def w1(self, count: int) -> Any:
        """Read one row by primary key."""
        row: Any = None
        for number in numbers(count):
            async with self.pool.connection() as connection:
                cursor = await connection.execute(ONE, (number,))
                row = await cursor.fetchone()
        return list(row)

    async def w1h(self, count: int) -> Any:
        """Read the same on a held connection."""
        row: Any = None
        async with self.pool.connection() as connection:
            for number in numbers(count):
                cursor = await connection.execute(ONE, (number,))
                row = await cursor.fetchone()
        return list(row)

    w2 = w1

    async def _named(self, sql: str, args: Any = None) -> Any:
        async with (
            self.pool.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(sql, args)
            return await cursor.fetchall()

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._named(PAGE, (READ,)))
        return values

    w3b = w3
    w3d = w3

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = await self._named(PAGE, (READ,))
        return rows[-1]

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            async with self.pool.connection() as connection:
                cursor = await connection.execute(f"{INSERT} RETURNING id", log_values(number))
                await cursor.fetchone()

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            rows = [log_values(number) for number in range(1000)]
            async with (
                self.pool.connection() as connection,
                connection.transaction(),
                connection.cursor() as cursor,
            ):
                await cursor.executemany(INSERT, rows)

    async def w6(self, count: int) -> Any:
        """Iterate over a server-side cursor."""
        total, name = 0, None
        for _ in range(count):
            async with (
                self.pool.connection() as connection,
                connection.transaction(),
                connection.cursor("stream", row_factory=dict_row) as cursor,
            ):
                await cursor.execute(STREAM)
                async for row in cursor:
                    total += row["id"]
                    name = row["name"]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with self.pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(f"{INSERT} RETURNING id", log_values(number))
                cursor = await connection.execute(LOGGED, await cursor.fetchone())
                row = await cursor.fetchone()
        return [row[1], row[2]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self._named(JOIN, (number, "none"))
        return [[row["id"], row["name"], row["title"]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self._named(LISTED, (list(range(number, number + 100)),))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            async with self._make_pool() as pool, pool.connection() as connection:
                row = await (await connection.execute(ONE, (number,))).fetchone()
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._named(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with (
            self.pool.connection() as connection,
            connection.transaction(),
            connection.cursor("stream") as cursor,
        ):
            await cursor.execute(sql)
            async for _ in cursor:
                count += 1
        return count


def make(backend: str) -> RawPsycopg:  # noqa: ARG001  # the same call for all drivers
    """Return the contender."""
    return RawPsycopg()
