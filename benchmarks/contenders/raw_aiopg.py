"""aiopg by hand, with its own pool."""

from __future__ import annotations

from typing import Any

import aiopg
from psycopg2.extras import RealDictCursor

from benchmarks.contenders.reading import by_name, in_tasks
from benchmarks.tables import READ, log_values, numbers, styled, texts

__all__ = ["RawAiopg", "make"]

ONE, PAGE, STREAM, JOIN, INSERT, LOGGED = texts("format")
LISTED = "SELECT id, name FROM bench_items WHERE id IN %s ORDER BY id"
BATCH = 50
"""Rows per FETCH: asyncpg's and psycopg's cursors ask for as many or more."""


class RawAiopg:
    """`aiopg.create_pool()`, used as its documentation shows.

    psycopg2 decodes JSON itself. It has neither a bulk call nor server-side
    cursors when it is asynchronous: rows are inserted one by one, and a cursor
    is declared by hand.
    """

    def __init__(self) -> None:
        self._url = ""
        self.pool: Any = None

    async def open(self, url: str) -> None:
        """Make the pool."""
        self._url = "postgresql://" + url.partition("://")[2]
        self.pool = await aiopg.create_pool(self._url, minsize=1, maxsize=10)

    async def close(self) -> None:
        """Close the pool."""
        self.pool.close()
        await self.pool.wait_closed()

    async def run(self, sql: str) -> None:
        """Run one statement."""
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql)

    async def fill(self, sql: str, rows: list[Any]) -> None:
        """Run *sql* once per row."""
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            for start in range(0, len(rows), 500):
                page = rows[start : start + 500]
                texts = [cursor.raw.mogrify(styled(sql, "format"), row) for row in page]
                await cursor.execute(b";".join(texts).decode())

    async def read(self, sql: str) -> list[Any]:
        """Return all rows of *sql*."""
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql)
            return [list(row) for row in await cursor.fetchall()]

    async def w1(self, count: int) -> Any:
        """Read one row by primary key."""
        row: Any = None
        for number in numbers(count):
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(ONE, (number,))
                row = await cursor.fetchone()
        return list(row)

    async def w1h(self, count: int) -> Any:
        """Read the same on a held connection."""
        row: Any = None
        async with self.pool.acquire() as connection:
            for number in numbers(count):
                async with connection.cursor() as cursor:
                    await cursor.execute(ONE, (number,))
                    row = await cursor.fetchone()
        return list(row)

    w2 = w1

    async def _named(self, sql: str, args: Any = None) -> Any:
        async with (
            self.pool.acquire() as connection,
            connection.cursor(cursor_factory=RealDictCursor) as cursor,
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
        return dict(rows[-1])

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(f"{INSERT} RETURNING id", log_values(number))
                await cursor.fetchone()

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            rows = [log_values(number) for number in range(1000)]
            async with (
                self.pool.acquire() as connection,
                connection.cursor() as cursor,
                cursor.begin(),
            ):
                for row in rows:
                    await cursor.execute(INSERT, row)

    async def w6(self, count: int) -> Any:
        """Iterate over a cursor that was declared by hand."""
        total, name = 0, None
        for _ in range(count):
            async with (
                self.pool.acquire() as connection,
                connection.cursor(cursor_factory=RealDictCursor) as cursor,
                cursor.begin(),
            ):
                await cursor.execute(f"DECLARE stream CURSOR FOR {STREAM}")
                while True:
                    await cursor.execute(f"FETCH {BATCH} FROM stream")
                    rows = await cursor.fetchall()
                    if not rows:
                        break
                    for row in rows:
                        total += row["id"]
                        name = row["name"]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with (
                self.pool.acquire() as connection,
                connection.cursor() as cursor,
                cursor.begin(),
            ):
                await cursor.execute(f"{INSERT} RETURNING id", log_values(number))
                await cursor.execute(LOGGED, await cursor.fetchone())
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
            rows = await self._named(LISTED, (tuple(range(number, number + 100)),))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            async with (
                aiopg.create_pool(self._url, minsize=1, maxsize=10) as pool,
                pool.acquire() as connection,
                connection.cursor() as cursor,
            ):
                await cursor.execute(ONE, (number,))
                row = await cursor.fetchone()
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._named(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with (
            self.pool.acquire() as connection,
            connection.cursor() as cursor,
            cursor.begin(),
        ):
            await cursor.execute(f"DECLARE stream CURSOR FOR {sql}")
            while True:
                await cursor.execute(f"FETCH {BATCH} FROM stream")
                rows = await cursor.fetchall()
                count += len(rows)
                if not rows:
                    return count


def make(backend: str) -> RawAiopg:  # noqa: ARG001  # the same call for all drivers
    """Return the contender."""
    return RawAiopg()
