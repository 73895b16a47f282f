"""Failing to connect: the driver's own error, at once, and no password shown."""

from __future__ import annotations

import logging
import pathlib
import socket
import traceback
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.proxy import forwarding

PASSWORD = "h1dden-Passw0rd"


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """Give a socket that has a port but does not listen: who connects is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def changed(url: str, **parts: object) -> str:
    """Give *url* with other parts."""
    given = sa.make_url(url).set(**parts)  # type: ignore[arg-type]  # whatever part it is
    return given.render_as_string(hide_password=False)


async def failure(database: Database, driver: DriverCase) -> BaseException:
    """Connect, which must fail at once with an error that the driver or the system raised."""
    with pytest.raises((driver.error, OSError)) as caught:
        await within(database.connect())
    assert not isinstance(caught.value, TimeoutError)
    assert not database.is_connected
    return caught.value


def told(error: BaseException) -> str:
    """Give all that a log would show of *error*, with the variables of the drivers and ours."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format()) + repr(error) + str(error)


@requires("server")
async def test_connection_refused(
    make_database: MakeDatabase, url: str, driver: DriverCase, deaf: socket.socket
) -> None:
    database = make_database(changed(url, port=port_of(deaf), password=PASSWORD))

    error = await failure(database, driver)

    assert PASSWORD not in told(error)


@requires("checks_passwords")
async def test_wrong_password(make_database: MakeDatabase, url: str, driver: DriverCase) -> None:
    database = make_database(changed(url, password=PASSWORD))

    error = await failure(database, driver)

    assert PASSWORD not in told(error)


@requires("checks_passwords")
async def test_unknown_user(make_database: MakeDatabase, url: str, driver: DriverCase) -> None:
    database = make_database(changed(url, username="nobody_here", password=PASSWORD))

    error = await failure(database, driver)

    assert PASSWORD not in told(error)


@requires("server")
async def test_unknown_database(make_database: MakeDatabase, url: str, driver: DriverCase) -> None:
    database = make_database(changed(url, database="no_such_database"))

    error = await failure(database, driver)

    assert "no_such_database" in str(error)
    assert "://" not in str(error)


@requires("file")
async def test_unknown_folder(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    database = make_database(f"{outside.url}.missing/folder/test.db")

    error = await failure(database, driver)

    assert "unable to open" in str(error)


@requires("file")
async def test_a_file_that_is_no_database(
    make_database: MakeDatabase, outside: Outside, driver: DriverCase
) -> None:
    path = pathlib.Path(outside.url.partition("///")[2]).with_suffix(".txt")
    path.write_text("no database " * 200)
    database = make_database(f"sqlite:///{path}")
    try:
        with pytest.raises(driver.error):
            async with database:
                await database.fetch_val("SELECT count(*) FROM sqlite_master")
    finally:
        path.unlink()


@requires("server")
async def test_it_connects_after_a_failure(
    make_database: MakeDatabase, url: str, driver: DriverCase, deaf: socket.socket
) -> None:
    """The server comes up later."""
    server = sa.make_url(url)
    assert server.host is not None
    assert server.port is not None
    database = make_database(changed(url, host="127.0.0.1", port=port_of(deaf)))
    await failure(database, driver)
    await failure(database, driver)

    async with forwarding(deaf, server.host, server.port):
        async with database:
            assert await within(database.fetch_val("SELECT 1")) == 1


@requires("server")
async def test_connecting_with_more_than_one_connection_that_fails(
    make_database: MakeDatabase, url: str, driver: DriverCase
) -> None:
    database = make_database(changed(url, database="no_such_database"), min_size=5)

    await failure(database, driver)


@requires("server")
async def test_force_rollback_that_cannot_connect(
    make_database: MakeDatabase, url: str, driver: DriverCase
) -> None:
    database = make_database(changed(url, database="no_such_database"), force_rollback=True)

    await failure(database, driver)
    await within(database.disconnect())

    assert not database.is_connected


@requires("server")
async def test_no_password_in_logs_and_reprs(
    make_database: MakeDatabase, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = f":{sa.make_url(url).password}@"

    with caplog.at_level(logging.DEBUG):
        async with make_database(url) as database:
            await database.fetch_val("SELECT 1")
            async with database.transaction():
                pass

    assert hidden not in caplog.text
    assert hidden not in repr(database.url)
    assert hidden not in repr(database)
    assert hidden not in database.url.obscure_password


@pytest.mark.parametrize("word", ["nonsense", "postgresqll", "sqlite3"])
def test_an_unknown_dialect_is_an_error_that_names_it(word: str, url: str) -> None:
    with pytest.raises(Exception, match=word) as caught:
        Database(f"{word}://localhost/database")

    assert "sqlite" in str(caught.value)
