"""Backends derived from ours, under schemes of their own: see ``subclasses``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
import pytest_asyncio
import sqlalchemy as sa

from databases import Database, DatabaseURL
from databases.importer import import_from_string
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.tables import notes

pytestmark = pytest.mark.drivers("aiosqlite", "asyncpg", "aiopg", "aiomysql", "asyncmy")

CLASSES = {
    "asyncpg": ("postgresql+rows", "RowsPostgres"),
    "aiopg": ("postgresql+aiopgrows", "RowsAiopg"),
    "aiomysql": ("mysql+rows", "RowsMySQL"),
    "asyncmy": ("mysql+asyncmyrows", "RowsAsyncMy"),
    "aiosqlite": ("sqlite+rows", "RowsSQLite"),
}


class RowsDatabase(Database):
    """Knows the derived backends by schemes of their own."""

    SUPPORTED_BACKENDS: ClassVar[dict[str, str]] = dict(
        Database.SUPPORTED_BACKENDS,
        **{s: f"tests.compat.subclasses:{prefix}Backend" for s, prefix in CLASSES.values()},
    )


@pytest_asyncio.fixture
async def database(outside: Outside, driver: DriverCase) -> AsyncIterator[RowsDatabase]:
    """Connect through the derived backend of the driver, over three rows."""
    outside.insert(notes, {"text": "a"}, {"text": "a"}, {"text": "b"})
    url = DatabaseURL(outside.url).replace(scheme=CLASSES[driver.name][0])
    async with RowsDatabase(url) as connected:
        yield connected


def _rows(driver: DriverCase, count: int) -> Any:
    return f"UPDATE {count}" if driver.name == "asyncpg" else ("rows", count)


async def test_connection_is_of_the_derived_class(
    database: RowsDatabase, driver: DriverCase
) -> None:
    expected = import_from_string(f"tests.compat.subclasses:{CLASSES[driver.name][1]}Connection")

    assert type(database.connection()._connection) is expected


async def test_result_of_an_overridden_execute_reaches_the_caller_untouched(
    database: RowsDatabase, driver: DriverCase
) -> None:
    query = notes.update().where(notes.c.text == "a").values(completed=True)

    assert await database.execute(query) == _rows(driver, 2)


async def test_overridden_execute_is_taken_with_a_string(
    database: RowsDatabase, driver: DriverCase
) -> None:
    query = "UPDATE notes SET completed = :completed WHERE text = :text"

    result = await database.execute(query, {"completed": True, "text": "b"})

    assert result == _rows(driver, 1)


async def test_overridden_execute_is_taken_without_parameters(
    database: RowsDatabase, driver: DriverCase
) -> None:
    query = "UPDATE notes SET text = '100 %' WHERE text LIKE 'a%'"

    result = await database.execute(query)

    assert result == _rows(driver, 2)
    assert await database.fetch_val("SELECT count(*) FROM notes WHERE text = '100 %'") == 2


async def test_overridden_execute_is_taken_through_a_connection(
    database: RowsDatabase, driver: DriverCase
) -> None:
    async with database.connection() as connection:
        result = await connection.execute(notes.update().values(completed=True))

    assert result == _rows(driver, 3)


async def test_overridden_execute_is_taken_inside_a_transaction(
    database: RowsDatabase, driver: DriverCase, outside: Outside
) -> None:
    async with database.transaction(force_rollback=True):
        result = await database.execute(notes.update().values(text="c"))

        assert result == _rows(driver, 3)
        assert await database.fetch_val(sa.select(notes.c.text)) == "c"

    assert outside.column(notes.c.text) == ["a", "a", "b"]


async def test_overridden_execute_is_taken_by_a_decorated_function(
    database: RowsDatabase, driver: DriverCase
) -> None:
    @database.transaction()
    async def change(text: str) -> Any:
        return await database.execute(notes.update().where(notes.c.text == text).values(text=text))

    assert set(await asyncio.gather(*(change("none") for _ in range(5)))) == {_rows(driver, 0)}


async def test_what_a_derived_execute_writes_is_committed(
    database: RowsDatabase, outside: Outside
) -> None:
    await database.execute(notes.insert(), {"text": "new"})

    assert "new" in outside.column(notes.c.text)


async def test_other_verbs_of_a_derived_backend_work(database: RowsDatabase) -> None:
    await database.execute_many(notes.insert(), [{"text": "c"}, {"text": "d"}])

    rows = await database.fetch_all(notes.select().order_by(notes.c.text))
    texts = [row["text"] async for row in database.iterate(notes.select())]

    assert [row.text for row in rows] == ["a", "a", "b", "c", "d"]
    assert sorted(texts) == ["a", "a", "b", "c", "d"]


async def test_derived_backend_serves_force_rollback(outside: Outside, driver: DriverCase) -> None:
    url = DatabaseURL(outside.url).replace(scheme=CLASSES[driver.name][0])

    async with RowsDatabase(url, force_rollback=True) as database:
        await database.execute(notes.insert(), {"text": "gone"})
        assert await database.fetch_val(sa.select(notes.c.text)) == "gone"

    assert outside.count(notes) == 0


async def test_derived_backend_can_be_assigned(outside: Outside, driver: DriverCase) -> None:
    made = import_from_string(f"tests.compat.subclasses:{CLASSES[driver.name][1]}Backend")
    database: Any = Database(outside.url)

    database._backend = made(database.url, **database.options)

    async with database:
        result = await database.execute(notes.update().values(completed=True))
        assert result == _rows(driver, 0)
