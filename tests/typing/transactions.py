"""Transactions, connections and databases: their three forms, and what decorators keep."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import sqlalchemy as sa
from typing_extensions import assert_type

from databases import Database, DatabaseURL
from databases.core import Connection, Transaction

database = Database("sqlite:///example.db")


@database.transaction()
async def work(name: str, *, count: int = 1) -> list[str]:
    return [name] * count


@database.transaction(isolation="serializable", readonly=True, force_rollback=True)
async def nothing() -> None:
    return None


class Service:
    @database.transaction()
    async def work(self, name: str) -> int:
        return len(name)


async def decorated_functions() -> None:
    assert_type(await work("x", count=2), list[str])
    assert_type(await Service().work("x"), int)
    coroutine: Coroutine[Any, Any, list[str]] = work("x")
    await coroutine
    await nothing()


async def mistakes() -> None:
    await work(1)  # type: ignore[arg-type]  # no string
    await work("x", times=2)  # type: ignore[call-arg]  # no such parameter
    Database()  # type: ignore[call-arg]  # no URL
    Database(5)  # type: ignore[arg-type]  # no URL


async def context_managers() -> None:
    async with database as connected:
        assert_type(connected, Database)
    async with database.transaction() as transaction:
        assert_type(transaction, Transaction)
    async with database.connection() as connection:
        assert_type(connection, Connection)
        async with connection.transaction(isolation="read_committed") as inner:
            assert_type(inner, Transaction)
    with database.force_rollback():
        pass


async def low_level() -> None:
    transaction = await database.transaction()
    assert_type(transaction, Transaction)
    await transaction.commit()
    await transaction.rollback()
    assert_type(await database.transaction().start(), Transaction)


async def hooks() -> None:
    async def later() -> int:
        return 1

    async with database.transaction() as transaction:
        transaction.on_commit(later)
        transaction.on_commit(lambda: "ignored")
        transaction.on_rollback(later)
        transaction.on_commit(later())  # type: ignore[arg-type]  # no function
        transaction.on_commit(work)  # type: ignore[arg-type]  # wants an argument
    await database.on_commit(later)


def names_of(connection: sa.Connection, schema: str | None = None) -> list[str]:
    return sa.inspect(connection).get_table_names(schema)


async def synchronous_functions() -> None:
    metadata = sa.MetaData()
    await database.create_all(metadata)
    await database.create_all(metadata, tables=[sa.Table("x", metadata)], checkfirst=False)
    await database.drop_all(metadata)
    assert_type(await database.run_sync(names_of), list[str])
    assert_type(await database.run_sync(names_of, schema="public"), list[str])
    assert_type(await database.connection().run_sync(names_of, "public"), list[str])
    await database.run_sync(names_of, 5)  # type: ignore[arg-type]  # no string


async def databases() -> None:
    Database(DatabaseURL("sqlite://"))
    Database(sa.make_url("sqlite://"))
    Database("sqlite://", force_rollback=True, min_size=1, max_size=5, acquire_timeout=1.5)
    assert_type(database.url, DatabaseURL)
    assert_type(database.options, dict[str, Any])
    assert_type(database.is_connected, bool)
    assert_type(database.connection(), Connection)
    assert_type(database.connection(new=True), Connection)
    assert_type(Database.SUPPORTED_BACKENDS, dict[str, str])
    await database.connect()
    await database.disconnect()
    cache = database.cache_stats()
    assert_type(cache.hits, int)
    stats = database.pool_stats()
    assert_type(stats.size, int)
    assert_type(stats.idle, int)
    assert_type(stats.in_use, int)
    assert_type(stats.waiting, int)
    assert_type(stats.max_size, int | None)
