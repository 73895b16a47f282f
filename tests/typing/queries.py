"""The query verbs: what they take, and what they give."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from typing_extensions import assert_type

from databases import Database
from databases.core import Connection
from databases.interfaces import Record
from databases.results import Result

numbers = sa.Table("numbers", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True))


async def verbs_of_a_database(database: Database) -> None:
    assert_type(await database.fetch_all("SELECT 1"), list[Record])
    assert_type(await database.fetch_one("SELECT 1"), Record | None)
    assert_type(await database.fetch_val("SELECT 1"), Any)
    assert_type(await database.execute("DELETE FROM numbers"), Any)
    assert_type(database.iterate("SELECT 1"), AsyncGenerator[Record, None])


async def results(database: Database, connection: Connection) -> None:
    result = await database.run(numbers.insert(), {"n": 1}, timeout=5)
    assert_type(result, Result)
    assert_type(result.rowcount, int | None)
    assert_type(result.lastrowid, int | None)
    assert_type(result.inserted_primary_key, tuple[Any, ...] | None)
    assert_type(result.rows, list[Record])
    assert_type(await connection.run("SELECT 1"), Result)


async def verbs_of_a_connection(connection: Connection) -> None:
    assert_type(await connection.fetch_all("SELECT 1"), list[Record])
    assert_type(await connection.fetch_one("SELECT 1"), Record | None)
    assert_type(await connection.fetch_val("SELECT 1"), Any)
    assert_type(await connection.execute("DELETE FROM numbers"), Any)
    assert_type(connection.iterate("SELECT 1"), AsyncGenerator[Record, None])
    assert_type(connection.raw_connection, Any)


async def every_kind_of_query(database: Database) -> None:
    await database.fetch_all("SELECT 1")
    await database.fetch_all(numbers.select())
    await database.fetch_all(sa.select(numbers.c.n))
    await database.fetch_all(sa.text("SELECT 1"))
    await database.fetch_all(sa.union(numbers.select(), numbers.select()))
    await database.execute(numbers.insert())
    await database.execute(numbers.insert().returning(numbers.c.n))
    await database.execute(numbers.update())
    await database.execute(numbers.delete())
    await database.execute(sa.schema.CreateTable(numbers))
    await database.execute(sa.schema.CreateIndex(sa.Index("i", numbers.c.n)))
    await database.fetch_val(sa.func.now().select())


async def every_kind_of_values(
    database: Database, mapping: Mapping[str, int], rows: Sequence[Mapping[str, int]]
) -> None:
    await database.fetch_all("SELECT :n", {"n": 1})
    await database.fetch_all("SELECT :n", values={"n": 1})
    await database.fetch_all("SELECT :n", None)
    await database.fetch_all(query="SELECT :n", values={"n": "text"})
    await database.execute("SELECT :n", mapping)
    await database.execute_many("SELECT :n", [{"n": 1}, {"n": None}])
    await database.execute_many("SELECT :n", rows)
    await database.execute_many("SELECT :n", values=[])
    await database.execute_many("SELECT :n", ({"n": n} for n in range(3)))
    await database.execute_many("SELECT :n", ({"n": row[0]} async for row in database.iterate("")))


async def columns_of_fetch_val(database: Database) -> None:
    await database.fetch_val("SELECT 1", None, 0)
    await database.fetch_val("SELECT 1 AS n", column="n")
    await database.fetch_val(numbers.select(), column=numbers.c.n)


async def iteration(database: Database) -> None:
    async for record in database.iterate(numbers.select(), {"n": 1}):
        assert_type(record, Record)
    await database.iterate("SELECT 1").aclose()


async def records(record: Record) -> dict[str, Any]:
    assert_type(record["n"], Any)
    assert_type(record[0], Any)
    assert_type(record[numbers.c.n], Any)
    assert_type(record.n, Any)
    assert_type(record._mapping, Mapping[Any, Any])  # pyright: ignore[reportPrivateUsage]
    assert_type(len(record), int)
    return dict(record)


async def mistakes(database: Database) -> None:
    await database.fetch_all(1)  # type: ignore[call-overload]  # no query
    await database.fetch_all("SELECT 1", [1])  # type: ignore[call-overload]  # no mapping
    await database.execute_many("SELECT 1", {"n": 1})  # type: ignore[dict-item]  # no list
    await database.fetch_val("SELECT 1", column=1.5)  # type: ignore[arg-type]  # no column
    await database.fetch_everything("SELECT 1")  # type: ignore[attr-defined]  # no such verb
