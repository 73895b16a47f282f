"""aiosqlite by hand: one connection that is held, since it has no pool."""

from __future__ import annotations

import json
from typing import Any

import aiosqlite

from benchmarks.contenders.reading import by_name, by_name_decoding, in_tasks, whole
from benchmarks.tables import READ, log_values, numbers, styled, texts

__all__ = ["RawSQLite", "make"]

ONE, PAGE, STREAM, JOIN, INSERT, LOGGED = texts("qmark")
LISTED = f"SELECT id, name FROM bench_items WHERE id IN ({','.join('?' * 100)}) ORDER BY id"


class RawSQLite:
    """`aiosqlite.connect()`, used as its documentation shows."""

    def __init__(self) -> None:
        self._path = ""
        self.connection: Any = None

    async def open(self, url: str) -> None:
        """Open the file."""
        self._path = url.partition("://")[2][1:]
        self.connection = await aiosqlite.connect(self._path)

    async def close(self) -> None:
        """Close the file."""
        await self.connection.close()

    async def run(self, sql: str) -> None:
        """Run one statement."""
        await self.connection.execute(sql)
        await self.connection.commit()

    async def fill(self, sql: str, rows: list[Any]) -> None:
        """Run *sql* once per row."""
        plain = [
            tuple(str(value) if hasattr(value, "isoformat") else value for value in row)
            for row in rows
        ]
        await self.connection.executemany(styled(sql, "qmark"), plain)
        await self.connection.commit()

    async def read(self, sql: str) -> list[Any]:
        """Return all rows of *sql*."""
        async with self.connection.execute(sql) as cursor:
            return [list(row) for row in await cursor.fetchall()]

    async def w1(self, count: int) -> Any:
        """Read one row by primary key."""
        row: Any = None
        for number in numbers(count):
            async with self.connection.execute(ONE, (number,)) as cursor:
                row = await cursor.fetchone()
        return list(row)

    w1h = w1

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, its JSON decoded."""
        values: Any = None
        for number in numbers(count):
            async with self.connection.execute(ONE, (number,)) as cursor:
                values = whole(await cursor.fetchone())
        return values

    async def _named(self, sql: str, args: Any = ()) -> Any:
        self.connection.row_factory = aiosqlite.Row
        try:
            async with self.connection.execute(sql, args) as cursor:
                return await cursor.fetchall()
        finally:
            self.connection.row_factory = None

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name_decoding(await self._named(PAGE, (READ,)))
        return values

    w3b = w3

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = [
                {**row, "data": json.loads(row["data"])} for row in await self._named(PAGE, (READ,))
            ]
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows by name, nothing decoded."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._named(PAGE, (READ,)))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            await self.connection.execute(INSERT, log_values(number))
            await self.connection.commit()

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            rows = [log_values(number) for number in range(1000)]
            await self.connection.executemany(INSERT, rows)
            await self.connection.commit()

    async def w6(self, count: int) -> Any:
        """Iterate."""
        total, name = 0, None
        self.connection.row_factory = aiosqlite.Row
        try:
            for _ in range(count):
                async with self.connection.execute(STREAM) as cursor:
                    async for row in cursor:
                        total += row["id"]
                        name = row["name"]
        finally:
            self.connection.row_factory = None
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            cursor = await self.connection.execute(INSERT, log_values(number))
            async with self.connection.execute(LOGGED, (cursor.lastrowid,)) as found:
                row = await found.fetchone()
            await self.connection.commit()
        return [row[1], row[2]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks."""
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
            rows = await self._named(LISTED, range(number, number + 100))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            async with (
                aiosqlite.connect(self._path) as connection,
                connection.execute(ONE, (number,)) as cursor,
            ):
                row = await cursor.fetchone()
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._named(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with self.connection.execute(sql) as cursor:
            async for _ in cursor:
                count += 1
        return count


def make(backend: str) -> RawSQLite:  # noqa: ARG001  # the same call for all drivers
    """Return the contender."""
    return RawSQLite()
