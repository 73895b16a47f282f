"""A function as password: asked for each connection."""

from __future__ import annotations

import asyncio

import pytest

from databases import DatabaseURL
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out, within
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside

pytestmark = requires("server")


class Passwords:
    """Gives the right password and counts."""

    def __init__(self, url: str) -> None:
        self.url = DatabaseURL(url)
        self.calls = 0

    @property
    def without(self) -> str:
        return str(self.url.replace(password=None))

    def plain(self) -> str:
        self.calls += 1
        assert self.url.password is not None
        return self.url.password

    async def asynchronous(self) -> str:
        await asyncio.sleep(0)
        return self.plain()


async def test_a_function_is_asked_for_each_connection(
    make_database: MakeDatabase, url: str
) -> None:
    passwords = Passwords(url)

    async with make_database(passwords.without, password=passwords.plain) as database:
        assert passwords.calls == 1
        async with database.connection(), database.connection(new=True) as second:
            assert await second.fetch_val("SELECT 1") == 1
        assert passwords.calls == 2


async def test_a_coroutine_function_is_awaited(make_database: MakeDatabase, url: str) -> None:
    passwords = Passwords(url)

    async with make_database(passwords.without, password=passwords.asynchronous) as database:
        assert await database.fetch_val("SELECT 1") == 1

    assert passwords.calls == 1


async def test_it_wins_over_the_password_of_the_url(make_database: MakeDatabase, url: str) -> None:
    passwords = Passwords(url)

    async with make_database(url, password=passwords.plain):
        assert passwords.calls == 1


@requires("checks_passwords")
async def test_a_wrong_password_is_the_drivers_error(
    make_database: MakeDatabase, url: str, driver: DriverCase
) -> None:
    database = make_database(Passwords(url).without, password=lambda: "wrong")

    with pytest.raises(driver.error):
        await database.connect()


async def test_what_it_raises_passes_through(make_database: MakeDatabase, url: str) -> None:
    def refuse() -> str:
        raise LookupError("no token")

    database = make_database(url, password=refuse)

    with pytest.raises(LookupError, match="no token"):
        await database.connect()


async def test_another_result_than_a_string_is_refused(
    make_database: MakeDatabase, url: str
) -> None:
    database = make_database(url, password=lambda: b"secret")

    with pytest.raises(ConfigurationError, match="returned a bytes") as caught:
        await database.connect()

    assert "secret" not in str(caught.value)


async def test_stopping_a_statement_asks_anew(
    make_database: MakeDatabase, url: str, driver: DriverCase
) -> None:
    """Some drivers stop a statement over a short-lived connection of its own."""
    passwords = Passwords(url)
    slow = driver.text(postgresql="SELECT pg_sleep(30)", mysql="SELECT SLEEP(30)")

    async with make_database(passwords.without, password=passwords.asynchronous) as database:
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await within(database.fetch_val(slow, timeout=0.2))
        assert checked_out(database) == 0
        assert await within(database.fetch_val("SELECT 1")) == 1


@requires("checks_passwords")
async def test_a_password_beyond_ascii(
    make_database: MakeDatabase, url: str, outside: Outside, driver: DriverCase
) -> None:
    password = "pä€ß/@:ъ"  # of a user that is made here
    create = driver.text(
        postgresql=f"CREATE ROLE umlaut LOGIN PASSWORD '{password}'",
        mysql=f"CREATE USER 'umlaut'@'%%' IDENTIFIED BY '{password}'",
    )
    outside.run(create)
    try:
        if driver.dialect == "mysql":
            outside.run("GRANT ALL ON *.* TO 'umlaut'@'%%'")
        own = DatabaseURL(url).replace(username="umlaut", password=password)
        async with make_database(str(own)) as database:
            assert await database.fetch_val("SELECT 42") == 42
        async with make_database(
            str(own.replace(password=None)), password=lambda: password
        ) as database:
            assert await database.fetch_val("SELECT 42") == 42
    finally:
        outside.run(driver.text(postgresql="DROP ROLE umlaut", mysql="DROP USER 'umlaut'@'%%'"))
