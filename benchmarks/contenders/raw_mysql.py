"""aiomysql and asyncmy by hand, each with its own pool; their calls are the same."""

from __future__ import annotations

import importlib
import json
import urllib.parse
from typing import Any

from benchmarks.contenders.reading import by_name, by_position_decoding, in_tasks, whole
from benchmarks.tables import READ, log_values, numbers, styled, texts

__all__ = ["RawMySQL", "make"]

ONE, PAGE, STREAM, JOIN, INSERT, LOGGED = texts("format")
LISTED = "SELECT id, name FROM bench_items WHERE id IN %s ORDER BY id"


class RawMySQL:
    """`create_pool()`, used as the drivers' documentation shows."""

    def __init__(self, name: str) -> None:
        self._driver = importlib.import_module(name)
        self._cursors = importlib.import_module(f"{name}.cursors")
        self._options: dict[str, Any] = {"minsize": 1, "maxsize": 10, "autocommit": True}
        self.pool: Any = None

    async def open(self, url: str) -> None:
        """Make the pool."""
        parts = urllib.parse.urlsplit(url)
        self._options |= {
            "host": parts.hostname,
            "port": parts.port or 3306,
            "user": urllib.parse.unquote(parts.username or ""),
            "password": urllib.parse.unquote(parts.password or ""),
            "db": parts.path[1:],
        }
        self.pool = await self._driver.create_pool(**self._options)

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
            await cursor.executemany(styled(sql, "format"), rows)

    async def read(self, sql: str) -> list[Any]:
        """Return all rows of *sql*."""
        return [list(row) for row in await self._fetch(sql)]

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

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, its JSON decoded."""
        values: Any = None
        for number in numbers(count):
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(ONE, (number,))
                values = whole(await cursor.fetchone())
        return values

    async def _fetch(self, sql: str, args: Any = None, kind: Any = None) -> Any:
        async with (
            self.pool.acquire() as connection,
            connection.cursor(*(() if kind is None else (kind,))) as cursor,
        ):
            await cursor.execute(sql, args)
            return await cursor.fetchall()

    async def w3(self, count: int) -> Any:
        """Read rows by position: plain cursors know no names."""
        values: Any = None
        for _ in range(count):
            values = by_position_decoding(await self._fetch(PAGE, (READ,)))
        return values

    w3b = w3

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: Any = ()
        for _ in range(count):
            rows = await self._fetch(PAGE, (READ,), self._cursors.DictCursor)
            for row in rows:
                row["data"] = json.loads(row["data"])
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows by name, nothing decoded."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._fetch(PAGE, (READ,), self._cursors.DictCursor))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(INSERT, log_values(number))

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            rows = [log_values(number) for number in range(1000)]
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.executemany(INSERT, rows)

    async def w6(self, count: int) -> Any:
        """Iterate."""
        total, name = 0, None
        for _ in range(count):
            async with (
                self.pool.acquire() as connection,
                connection.cursor(self._cursors.SSCursor) as cursor,
            ):
                await cursor.execute(STREAM)
                async for row in cursor:
                    total += row[0]
                    name = row[1]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with self.pool.acquire() as connection:
                await connection.begin()
                async with connection.cursor() as cursor:
                    await cursor.execute(INSERT, log_values(number))
                    await cursor.execute(LOGGED, (cursor.lastrowid,))
                    row = await cursor.fetchone()
                await connection.commit()
        return [row[1], row[2]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: Any = ()
        for number in numbers(count):
            rows = await self._fetch(JOIN, (number, "none"))
        return [[row[0], row[1], row[2]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: Any = ()
        for number in numbers(count):
            rows = await self._fetch(LISTED, (tuple(range(number, number + 100)),))
        return [[row[0], row[1]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            pool = await self._driver.create_pool(**self._options)
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(ONE, (number,))
                row = await cursor.fetchone()
            pool.close()
            await pool.wait_closed()
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._fetch(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with (
            self.pool.acquire() as connection,
            connection.cursor(self._cursors.SSCursor) as cursor,
        ):
            await cursor.execute(sql)
            async for _ in cursor:
                count += 1
        return count


def make(backend: str) -> RawMySQL:
    """Return the contender for *backend*, the driver's name."""
    return RawMySQL(backend)
