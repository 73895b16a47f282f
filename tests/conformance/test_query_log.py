"""The log of queries: which values it shows, and slow queries."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query
from tests.support.drivers import DriverCase
from tests.support.tables import notes

QUERY = "SELECT text FROM notes WHERE text = :text"


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "databases" and record.levelno == level
    ]


def with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


async def ask_all(database: Database) -> None:
    await database.fetch_all(QUERY, {"text": "needle"})
    await database.fetch_one(notes.select().where(notes.c.text == "needle"))
    await database.execute_many(notes.insert(), [{"text": "needle"}])
    async with database.connection() as connection:
        await connection.fetch_val(QUERY, {"text": "needle"})
    async for _ in database.iterate(QUERY, {"text": "needle"}):
        pass
    await database.run(QUERY, {"text": "needle"})
    await database.run_sync(select_needle)


def select_needle(connection: sa.Connection) -> None:
    connection.execute(notes.select().where(notes.c.text == "needle"))


async def test_values_are_shown_at_debug(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "databases"):
        await ask_all(database)

    messages = [message for message in logged(caplog, logging.DEBUG) if "notes" in message]
    assert len(messages) == 7
    assert all("needle" in message for message in messages)


@pytest.mark.parametrize("way", ["keyword", "url"])
async def test_values_can_be_hidden(
    make_database: MakeDatabase, url: str, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    if way == "keyword":
        database = make_database(log_values=False)
    else:
        database = make_database(with_query(url, "log_values=false"))
    with caplog.at_level(logging.DEBUG, "databases"):
        async with database:
            await ask_all(database)

    messages = [message for message in logged(caplog, logging.DEBUG) if "notes" in message]
    assert len(messages) == 7
    assert not any("needle" in message for message in messages)


async def test_a_keyword_wins_over_the_url(
    make_database: MakeDatabase, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(with_query(url, "log_values=false"), log_values=True)
    with caplog.at_level(logging.DEBUG, "databases"):
        async with database:
            await database.fetch_all(QUERY, {"text": "needle"})

    assert "needle" in logged(caplog, logging.DEBUG)[0]


@pytest.mark.parametrize("way", ["keyword", "url"])
async def test_a_slow_query_is_a_warning_without_values(
    make_database: MakeDatabase,
    driver: DriverCase,
    url: str,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    if way == "keyword":
        database = make_database(slow_query_threshold=0.05)
    else:
        database = make_database(with_query(url, "slow_query_threshold=0.05"))
    async with database:
        await database.fetch_all(slow_query(driver, 0.1))

    (message,) = logged(caplog, logging.WARNING)
    assert re.match(r"Slow query: \d+\.\d{3} s: ", message)
    assert slow_query(driver, 0.1) in message


async def test_a_quick_query_is_no_warning(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_database(slow_query_threshold=60) as database:
        await ask_all(database)

    assert logged(caplog, logging.WARNING) == []


async def test_zero_seconds_make_every_query_slow(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_database(slow_query_threshold=0) as database:
        await ask_all(database)

    messages = [message for message in logged(caplog, logging.WARNING) if "notes" in message]
    assert len(messages) == 7
    assert not any("needle" in message for message in messages)


@pytest.mark.parametrize(
    "options",
    [
        {"log_values": "perhaps"},
        {"log_values": 3},
        {"slow_query_threshold": "soon"},
        {"slow_query_threshold": -1},
        {"slow_query_threshold": True},
    ],
    ids=str,
)
async def test_values_that_cannot_work_are_refused(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Database(url, **options)


async def test_no_backend_is_given_what_the_database_reads(url: str) -> None:
    given = with_query(url, "log_values=false&slow_query_threshold=1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        database = Database(given, log_values=True, slow_query_threshold=0.5)

    backend: Any = database._backend
    assert str(database.url) == given
    assert str(backend._database_url) == url
    assert database.options == backend._options == {}
    # A program may make the backend itself.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = type(backend)(given)
        assert made._get_connection_kwargs() == backend._get_connection_kwargs()


async def test_a_listener_that_raises_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []

    def fail(event: object) -> None:
        raise RuntimeError("broken listener")

    database.listen(fail)
    database.listen(heard.append)
    async with database.transaction():
        assert await database.fetch_val("SELECT 1") == 1
    await database.execute_many(notes.insert(), [{"text": "a"}])
    assert len([row async for row in database.iterate(notes.select())]) == 1

    messages = [record.exc_text or "" for record in caplog.records]
    assert heard
    assert len(logged(caplog, logging.ERROR)) == len(heard)
    assert all("broken listener" in message for message in messages)


async def test_a_query_fails_with_its_own_error_whatever_the_listener_raises(
    database: Database, driver: DriverCase
) -> None:
    def fail(event: object) -> None:
        raise RuntimeError("broken listener")

    database.listen(fail)

    with pytest.raises(driver.error):
        await database.fetch_val("SELECT nonsense FROM nowhere")
