"""The spellings of a URL: every scheme finds its driver."""

from __future__ import annotations

import asyncio
import pathlib
import urllib.parse
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database, DatabaseURL
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts

FORMS = {
    "aiosqlite": ["sqlite", "sqlite+aiosqlite"],
    "asyncpg": ["postgres", "postgresql", "postgresql+asyncpg"],
    "psycopg": ["postgresql+psycopg"],
    "aiopg": ["postgresql+aiopg"],
    "aiomysql": ["mysql", "mysql+aiomysql"],
    "asyncmy": ["mysql+asyncmy"],
}
"""The schemes that lead to each driver."""


def forms(driver: DriverCase, url: str) -> list[str]:
    rest = url.partition(":")[2]
    return [f"{scheme}:{rest}" for scheme in FORMS[driver.name]]


async def test_every_form_finds_its_driver(
    make_database: MakeDatabase, url: str, driver: DriverCase
) -> None:
    for form in forms(driver, url):
        async with make_database(form) as database, database.connection() as connection:
            module = type(connection.raw_connection).__module__
            assert module.partition(".")[0] == driver.name


async def test_every_form_serves_a_shared_decorator(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    mode: dict[str, Any] = {"mode": "immediate"} if driver.can("modes") else {}
    for number, form in enumerate(forms(driver, outside.url)):
        async with make_database(form) as database:

            @database.transaction(**mode)
            async def work(key: int, database: Database = database) -> None:
                await database.execute(accounts.insert().values(id=key, balance=key))
                if key % 2:
                    raise LookupError

            keys = range(number * 100, number * 100 + 30)
            results = await within(
                asyncio.gather(*(work(key) for key in keys), return_exceptions=True), 20
            )

        assert [result is None for result in results] == [True, False] * 15
        found = outside.rows(sa.select(accounts.c.id).where(accounts.c.id >= number * 100))
        assert sorted(key for (key,) in found) == list(keys)[::2]


async def test_a_database_url_and_an_sqlalchemy_url_are_accepted(
    make_database: MakeDatabase, url: str
) -> None:
    sqlalchemy_url: object = sa.make_url(url)
    for given in (DatabaseURL(url), sqlalchemy_url):
        async with make_database(given) as database:
            assert await database.fetch_val("SELECT 1") == 1


async def test_the_url_is_equal_to_what_was_given(make_database: MakeDatabase, url: str) -> None:
    database = make_database()

    assert database.url == url
    assert str(database.url) == url
    assert isinstance(database.url, DatabaseURL)
    assert hash(database.url) == hash(DatabaseURL(url))


async def test_a_replaced_url_connects(make_database: MakeDatabase, url: str) -> None:
    parsed = DatabaseURL(url)
    same = parsed.replace(database=parsed.database)

    async with make_database(same) as database:
        assert await database.fetch_val("SELECT 1") == 1


@requires("server")
async def test_user_and_password_in_the_query(make_database: MakeDatabase, url: str) -> None:
    parsed = sa.make_url(url)
    assert parsed.username is not None
    host = f"{parsed.host}:{parsed.port}"
    given = (
        f"{parsed.drivername}://{host}/{parsed.database}"
        f"?user={parsed.username}&password={parsed.password}"
    )

    async with make_database(given) as database:
        assert await database.fetch_val("SELECT 1") == 1
        assert f"password={parsed.password}" not in repr(database.url)


@requires("hosts")
async def test_several_hosts(make_database: MakeDatabase, url: str) -> None:
    """The first does not answer: the driver tries the next."""
    parsed = sa.make_url(url)
    given = (
        f"{parsed.drivername}://{parsed.username}:{parsed.password}"
        f"@127.0.0.1:1,{parsed.host}:{parsed.port}/{parsed.database}"
        "?target_session_attrs=read-write"
    )

    async with make_database(given) as database:
        assert await database.fetch_val("SELECT 1") == 1
        assert len(DatabaseURL(given).hosts) == 2


@requires("file")
@pytest.mark.parametrize("name", ["with space.db", "100%.db", "ünïcode.db", "a+b.db", "q&a.db"])
async def test_file_names_of_every_kind(
    make_database: MakeDatabase, outside: Outside, name: str
) -> None:
    folder = pathlib.Path(outside.url.partition("///")[2]).parent
    path = folder / name
    given = f"sqlite:///{folder}/{urllib.parse.quote(name)}"
    try:
        async with make_database(given) as database:
            await database.execute("CREATE TABLE t (id INTEGER)")
        assert path.exists()
    finally:
        path.unlink(missing_ok=True)
