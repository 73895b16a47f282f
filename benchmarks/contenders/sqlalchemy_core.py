"""SQLAlchemy's own asyncio layer with Core, and the expressions that `databases` is given too."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from benchmarks.contenders.reading import by_attribute, by_name, in_tasks
from benchmarks.tables import LOG_ROWS, ONE, PAGE, READ, groups, items, log, log_row, numbers

__all__ = ["SQLAlchemyCore", "log_query", "make", "queries_of"]


def queries_of(name: str, number: int = 1) -> Any:
    """Return the expression *name*, built anew as applications build theirs."""
    item = items.c
    if name == "page":
        return sa.select(items).where(item.id <= READ).order_by(item.id)
    if name == "stream":
        return sa.select(item.id, item.name, item.amount).order_by(item.id)
    if name == "listed":
        keys = range(number, number + 100)
        return sa.select(item.id, item.name).where(item.id.in_(keys)).order_by(item.id)
    return (
        sa.select(item.id, item.name, groups.c.title)
        .join(groups, groups.c.id == item.amount)
        .where(item.id > number, groups.c.title != "none")
        .order_by(item.id)
        .limit(10)
    )


def log_query(key: int) -> Any:
    """Return the expression that reads one row of the log."""
    return log.select().where(log.c.id == key)


class SQLAlchemyCore:
    """`create_async_engine()`, used as its documentation shows."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._url = ""
        self.engine: Any = None

    def _make_engine(self) -> Any:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  # wants greenlet

        _, _, rest = self._url.partition("://")
        url = f"{self._scheme}://{rest}"
        if self._scheme.startswith("sqlite"):
            return create_async_engine(url)
        return create_async_engine(url, pool_size=10, max_overflow=0)

    async def open(self, url: str) -> None:
        """Make the engine and a first connection."""
        self._url = url
        self.engine = self._make_engine()
        async with self.engine.connect():
            pass

    async def close(self) -> None:
        """Close the pool."""
        await self.engine.dispose()

    async def w1(self, count: int) -> Any:
        """Read one row by primary key, as a string."""
        row: Any = None
        for number in numbers(count):
            async with self.engine.connect() as connection:
                row = (await connection.execute(sa.text(ONE), {"id": number})).first()
        return list(row)

    async def w1h(self, count: int) -> Any:
        """Read the same on a held connection."""
        row: Any = None
        async with self.engine.connect() as connection:
            for number in numbers(count):
                row = (await connection.execute(sa.text(ONE), {"id": number})).first()
        return list(row)

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, as an expression."""
        row: Any = None
        for number in numbers(count):
            query = items.select().where(items.c.id == number)
            async with self.engine.connect() as connection:
                row = (await connection.execute(query)).mappings().first()
        return by_name([row])

    async def _mappings(self, query: Any, values: Any = None) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(query, values)).mappings().all()

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._mappings(queries_of("page")))
        return values

    async def w3b(self, count: int) -> Any:
        """Read rows by attribute."""
        values: Any = None
        for _ in range(count):
            async with self.engine.connect() as connection:
                rows = (await connection.execute(queries_of("page"))).all()
            values = by_attribute(rows)
        return values

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = [dict(row) for row in await self._mappings(queries_of("page"))]
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows of a string by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await self._mappings(sa.text(PAGE), {"last": READ}))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            async with self.engine.begin() as connection:
                await connection.execute(log.insert(), log_row(number))

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            async with self.engine.begin() as connection:
                await connection.execute(log.insert(), LOG_ROWS)

    async def w6(self, count: int) -> Any:
        """Iterate."""
        total, name = 0, None
        for _ in range(count):
            async with self.engine.connect() as connection:
                result = await connection.stream(queries_of("stream"))
                async for row in result.mappings():
                    total += row["id"]
                    name = row["name"]
        return [total // count, name]

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        row: Any = None
        for number in range(count):
            async with self.engine.begin() as connection:
                result = await connection.execute(log.insert(), log_row(number))
                query = log_query(result.inserted_primary_key[0])
                row = (await connection.execute(query)).mappings().first()
        return [row["name"], row["amount"]]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: Any = ()
        for number in numbers(count):
            rows = await self._mappings(queries_of("join", number))
        return [[row["id"], row["name"], row["title"]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: Any = ()
        for number in numbers(count):
            rows = await self._mappings(queries_of("listed", number))
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        row: Any = None
        for number in numbers(count):
            engine = self._make_engine()
            async with engine.connect() as connection:
                row = (await connection.execute(sa.text(ONE), {"id": number})).first()
            await engine.dispose()
        return list(row)

    async def all_rows(self, sql: str) -> int:
        """Read every row of *sql* at once."""
        return len(await self._mappings(sa.text(sql)))

    async def each_row(self, sql: str) -> int:
        """Read every row of *sql*, one after another."""
        count = 0
        async with self.engine.connect() as connection:
            async for _ in await connection.stream(sa.text(sql)):
                count += 1
        return count


SCHEMES = {
    "sqlite": "sqlite+aiosqlite",
    "asyncpg": "postgresql+asyncpg",
    "psycopg": "postgresql+psycopg",
    "aiomysql": "mysql+aiomysql",
    "asyncmy": "mysql+asyncmy",
}


def make(backend: str) -> SQLAlchemyCore:
    """Return the contender for *backend*.

    Raises `LookupError` where SQLAlchemy has no asyncio dialect.
    """
    if backend not in SCHEMES:
        raise LookupError(f"SQLAlchemy has no asyncio dialect for {backend}")
    return SQLAlchemyCore(SCHEMES[backend])
