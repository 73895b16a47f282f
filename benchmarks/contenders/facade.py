"""`databases`: ours, or 0.9.0, whichever this process imports."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders.reading import by_attribute, by_name, in_tasks
from benchmarks.contenders.sqlalchemy_core import log_query, queries_of
from benchmarks.tables import LOG_ROWS, ONE, PAGE, READ, items, log, log_row, numbers
from databases import Database

__all__ = ["Facade", "make"]


class Facade:
    """`Database`, used as its documentation shows."""

    def __init__(self, backend: str) -> None:
        # aiopg gives no key unless it is asked for.
        self._asks_key = backend == "aiopg"
        self._url = ""
        self._options: dict[str, Any] = {}
        self.database: Any = None

    async def open(self, url: str) -> None:
        """Connect."""
        self._url = url
        self._options = {} if url.startswith("sqlite") else {"min_size": 1, "max_size": 10}
        self.database = Database(self._url, **self._options)
        await self.database.connect()

    async def close(self) -> None:
        """Disconnect."""
        await self.database.disconnect()

    async def w1(self, count: int) -> Any:
        """Read one row by primary key, as a string."""
        database = self.database
        row: Any = None
        for number in numbers(count):
            row = await database.fetch_one(ONE, {"id": number})
        return list(row._mapping.values())

    async def w1h(self, count: int) -> Any:
        """Read the same on a held connection."""
        row: Any = None
        async with self.database.connection() as connection:
            for number in numbers(count):
                row = await connection.fetch_one(ONE, {"id": number})
        return list(row._mapping.values())

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, as an expression."""
        database = self.database
        row: Any = None
        for number in numbers(count):
            row = await database.fetch_one(items.select().where(items.c.id == number))
        return by_name([row])

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self.database.fetch_all(queries_of("page")))
        return values

    async def w3b(self, count: int) -> Any:
        """Read rows by attribute."""
        values: Any = None
        for _ in range(count):
            values = by_attribute(await self.database.fetch_all(queries_of("page")))
        return values

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = [dict(row) for row in await self.database.fetch_all(queries_of("page"))]
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows of a string by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self.database.fetch_all(PAGE, {"last": READ}))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            await self.database.execute(log.insert(), log_row(number))

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            await self.database.execute_many(log.insert(), LOG_ROWS)

    async def w6(self, count: int) -> Any:
        """Iterate."""
        total, name = 0, None
        for _ in range(count):
            async for row in self.database.iterate(queries_of("stream")):
                total += row["id"]
                name = row["name"]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with self.database.transaction():
                query = log.insert().returning(log.c.id) if self._asks_key else log.insert()
                key = await self.database.execute(query, log_row(number))
                row = await self.database.fetch_one(log_query(key))
        return [row["name"], row["amount"]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self.database.fetch_all(queries_of("join", number))
        return [[row["id"], row["name"], row["title"]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: list[Any] = []
        for number in numbers(count):
            rows = await self.database.fetch_all(queries_of("listed", number))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            async with Database(self._url, **self._options) as database:
                row = await database.fetch_one(ONE, {"id": number})
        return list(row._mapping.values())

    def another(self, **options: Any) -> Any:
        """Return one more `Database`, with other options."""
        return Database(self._url, **options)

    async def w12_task(self, number: int) -> None:
        """Be one of many short tasks: a query and a transaction."""
        async with self.database.transaction():
            await self.database.fetch_one(ONE, {"id": number % 1000 + 1})

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self.database.fetch_all(sql))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async for _ in self.database.iterate(sql):
            count += 1
        return count


def make(backend: str) -> Facade:
    """Return the contender for *backend*.

    Raises `LookupError` where this `databases` would use another driver.
    """
    if backend == "psycopg" and "postgresql+psycopg" not in Database.SUPPORTED_BACKENDS:
        raise LookupError("it has no backend for psycopg")
    return Facade(backend)
