"""A statement is stopped on its own server, and never somebody else's on another one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import running, until, until_not, works
from tests.support.drivers import requires
from tests.support.outside import Outside
from tests.support.proxy import forwarding

pytestmark = [pytest.mark.law, requires("charsets")]

SLOW = "SELECT SLEEP(20)"


@pytest.fixture
async def proxied(outside: Outside) -> AsyncIterator[str]:
    """Give a URL that leads to the server through a proxy, from whose port it is seen."""
    url = sa.make_url(outside.url)
    assert url.host is not None
    assert url.port is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with forwarding(listener, url.host, url.port):
            yield url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


async def give_up(database: Database, prepare: Callable[[Any], None] = lambda _: None) -> None:
    """Give up a slow statement, in a session that *prepare* was called with."""
    async with database.connection() as connection:
        prepare(connection.raw_connection)
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await connection.fetch_val(SLOW, timeout=0.1)


@pytest.mark.parametrize("name", [None, "localhost"])
async def test_a_given_up_statement_is_stopped(
    make_database: MakeDatabase, outside: Outside, name: str | None
) -> None:
    url = sa.make_url(outside.url)
    url = url.set(host=name or url.host)
    database = make_database(url.render_as_string(hide_password=False))
    await database.connect()

    await give_up(database)

    await until_not(lambda: running(outside, "SLEEP"), "the statement runs on")
    await works(database, outside)


async def test_it_is_stopped_behind_a_proxy(
    make_database: MakeDatabase, outside: Outside, proxied: str
) -> None:
    database = make_database(proxied)
    await database.connect()

    await give_up(database)

    await until_not(lambda: running(outside, "SLEEP"), "the statement runs on")
    await works(database, outside)
    await database.disconnect()


@pytest.mark.parametrize("through", ["network", "proxy"])
async def test_behind_a_balancer_no_other_session_is_ended(
    make_database: MakeDatabase, outside: Outside, proxied: str, through: str
) -> None:
    """The other server has a session of the same number, of the same user."""
    database = make_database(proxied if through == "proxy" else None)
    innocent = make_database()
    await database.connect()
    await innocent.connect()
    peers = type(database._backend).driver._peers  # type: ignore[attr-defined]  # the driver's own

    async with innocent.connection() as connection:
        number = await connection.fetch_val("SELECT connection_id()")
        other = {"number": number, "server": "another"}

        def take(raw: Any) -> None:
            own = peers[raw]
            peers[raw] = own._replace(server_id=own.server_id._replace(**other))

        await give_up(database, take)
        await database.disconnect()

        assert await connection.fetch_val("SELECT connection_id()") == number
    await end(outside)


async def end(outside: Outside) -> None:
    """End what nobody has stopped."""
    await until(lambda: running(outside, "SLEEP"), "the statement of the first server")
    for session in running(outside, "SLEEP"):
        outside.run(f"KILL {int(session.partition(' ')[0])}")
