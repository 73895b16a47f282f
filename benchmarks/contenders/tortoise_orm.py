"""Tortoise ORM, with models over the tables that every contender reads and writes.

It has no `w1h`, for it lends a connection only for a transaction, and no `w6`:
its `async for` reads every row before it gives the first.
"""

from __future__ import annotations

import sys
from typing import Any

import sqlalchemy as sa
from tortoise import Tortoise, fields
from tortoise.context import TortoiseContext
from tortoise.models import Model
from tortoise.transactions import in_transaction

from benchmarks.contenders.reading import by_attribute, by_name, in_tasks
from benchmarks.tables import LOG_ROWS, READ, log_row, numbers, texts

__all__ = ["Entry", "Group", "GroupedItem", "Item", "TortoiseORM", "make"]


class Item(Model):
    """A row of the table that is read."""

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=100)
    amount = fields.IntField()
    active = fields.BooleanField()
    created = fields.DatetimeField()
    data: Any = fields.JSONField()

    class Meta:
        """Where it is."""

        table = "bench_items"


class Entry(Model):
    """A row of the table that is written."""

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=100)
    amount = fields.IntField()
    active = fields.BooleanField()

    class Meta:
        """Where it is."""

        table = "bench_log"


class Group(Model):
    """A row of the table that is joined."""

    id = fields.IntField(primary_key=True)
    title = fields.CharField(max_length=100)

    class Meta:
        """Where it is."""

        table = "bench_groups"


class GroupedItem(Model):
    """An item whose amount names its group: a column belongs to one field alone."""

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=100)
    group: Any = fields.ForeignKeyField("bench.Group", source_field="amount", related_name=False)

    class Meta:
        """Where it is."""

        table = "bench_items"


class TortoiseORM:
    """`Tortoise.init()`, used as its documentation shows."""

    def __init__(self, engine: str, style: str) -> None:
        self._engine = engine
        self._config: dict[str, Any] = {}
        self._one, self._page = texts(style)[:2]

    async def open(self, url: str) -> None:
        """Connect, for all tasks."""
        self._config = {
            "connections": {
                "default": {
                    "engine": f"tortoise.backends.{self._engine}",
                    "credentials": _credentials(sa.make_url(url)),
                }
            },
            "apps": {"bench": {"models": [__name__], "default_connection": "default"}},
            "use_tz": False,
        }
        await Tortoise.init(config=self._config, _enable_global_fallback=True)
        # The pool is made for the first query.
        await Tortoise.get_connection("default").execute_query("SELECT 1")

    async def close(self) -> None:
        """Disconnect."""
        await Tortoise.close_connections()

    async def w1(self, count: int) -> Any:
        """Read one row by primary key, as a string."""
        rows: list[Any] = []
        for number in numbers(count):
            connection = Tortoise.get_connection("default")
            rows = await connection.execute_query_dict(self._one, [number])
        return list(rows[0].values())

    async def w2(self, count: int) -> Any:
        """Read one row by primary key, as a model."""
        item: Any = None
        for number in numbers(count):
            item = await Item.get(id=number)
        return by_attribute([item])

    async def w3(self, count: int) -> Any:
        """Read rows by name."""
        values: Any = None
        for _ in range(count):
            values = by_name(await Item.filter(id__lte=READ).order_by("id").values())
        return values

    async def w3b(self, count: int) -> Any:
        """Read models by attribute."""
        values: Any = None
        for _ in range(count):
            values = by_attribute(await Item.filter(id__lte=READ).order_by("id"))
        return values

    async def w3c(self, count: int) -> Any:
        """Read rows as dictionaries."""
        rows: list[Any] = []
        for _ in range(count):
            rows = await Item.filter(id__lte=READ).order_by("id").values()
        return rows[-1]

    async def w3d(self, count: int) -> Any:
        """Read rows of a string by name."""
        values: Any = None
        for _ in range(count):
            connection = Tortoise.get_connection("default")
            values = by_name(await connection.execute_query_dict(self._page, [READ]))
        return values

    async def w4(self, count: int) -> None:
        """Insert."""
        for number in range(count):
            await Entry.create(**log_row(number))

    async def w5(self, count: int) -> None:
        """Insert many."""
        for _ in range(count):
            await Entry.bulk_create([Entry(**row) for row in LOG_ROWS])

    async def w7(self, count: int) -> Any:
        """Insert and select in a transaction."""
        entry: Any = None
        for number in range(count):
            async with in_transaction() as connection:
                added = await Entry.create(using_db=connection, **log_row(number))
                entry = await Entry.get(id=added.id, using_db=connection)
        return [entry.name, entry.amount]

    async def w9(self, count: int) -> Any:
        """Read in many tasks over few connections."""
        return await in_tasks(self.w2, count)

    async def w10(self, count: int) -> Any:
        """Join two tables."""
        rows: list[Any] = []
        for number in numbers(count):
            query = GroupedItem.filter(id__gt=number).exclude(group__title="none")
            rows = await query.order_by("id").limit(10).values("id", "name", title="group__title")
        return [[row["id"], row["name"], row["title"]] for row in rows]

    async def w11(self, count: int) -> Any:
        """Look a hundred keys up."""
        rows: list[Any] = []
        for number in numbers(count):
            keys = range(number, number + 100)
            rows = await Item.filter(id__in=keys).order_by("id").values("id", "name")
        return [[row["id"], row["name"]] for row in rows]

    async def w12(self, count: int) -> Any:
        """Connect, ask, disconnect."""
        rows: list[Any] = []
        for number in numbers(count):
            async with TortoiseContext() as context:
                await context.init(config=self._config)
                rows = await context.db().execute_query_dict(self._one, [number])
        return list(rows[0].values())


def _credentials(url: sa.URL) -> dict[str, Any]:
    if url.drivername.startswith("sqlite"):
        # Its own choice, WAL, would stay in the file that all contenders share.
        return {"file_path": url.database, "journal_mode": "DELETE"}
    default = 3306 if url.drivername.startswith("mysql") else 5432
    return {
        "host": url.host,
        "port": url.port or default,
        "user": url.username,
        "password": url.password or "",
        "database": url.database,
        "minsize": 1,
        "maxsize": 10,
    }


ENGINES = {
    "sqlite": ("sqlite", "qmark"),
    "asyncpg": ("asyncpg", "numeric"),
    "psycopg": ("psycopg", "format"),
    "aiomysql": ("mysql", "format"),
    "asyncmy": ("mysql", "format"),
}
"""Backend to Tortoise's own, and how that writes parameters in strings."""


def make(backend: str) -> TortoiseORM:
    """Return the contender for *backend*.

    Raises `LookupError` where Tortoise has no such backend.
    """
    if backend not in ENGINES:
        raise LookupError(f"Tortoise has no backend for {backend}")
    if backend == "aiomysql":
        # Tortoise takes asyncmy where there is one, and aiomysql where there is none.
        sys.modules["asyncmy"] = None  # type: ignore[assignment]  # refuses to be imported
    return TortoiseORM(*ENGINES[backend])
