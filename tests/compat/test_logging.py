"""What the logger ``databases`` is told, and at which level."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from databases import Database, DatabaseURL, core
from tests.conftest import MakeDatabase


def _of_level(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.name == "databases" and r.levelno == level]


async def test_connect_and_disconnect_are_logged_at_info(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database()

    with caplog.at_level(logging.INFO, "databases"):
        await database.connect()
        await database.disconnect()

    shown = DatabaseURL(database.url).obscure_password
    assert [record.getMessage() for record in _of_level(caplog, logging.INFO)] == [
        f"Connected to database {shown}",
        f"Disconnected from database {shown}",
    ]


async def test_connect_and_disconnect_keep_the_format_that_filters_match(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "databases"):
        async with make_database():
            pass

    assert [record.msg for record in _of_level(caplog, logging.INFO)] == [
        "Connected to database %s",
        "Disconnected from database %s",
    ]


async def test_connects_that_do_nothing_are_not_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "databases"):
        await database.connect()

    assert _of_level(caplog, logging.INFO) == []


async def test_queries_are_logged_at_debug(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "databases"):
        await database.fetch_all("SELECT text FROM notes WHERE text = :text", {"text": "needle"})

    messages = [record.getMessage() for record in _of_level(caplog, logging.DEBUG)]
    assert len(messages) == 1
    assert "SELECT text FROM notes WHERE text = " in messages[0]
    assert "needle" in messages[0]


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("fetch_one", ("SELECT 1",)),
        ("fetch_val", ("SELECT 1",)),
        ("execute", ("DELETE FROM notes",)),
        ("execute_many", ("INSERT INTO notes (text) VALUES (:text)", [{"text": "a"}])),
    ],
)
async def test_every_verb_is_logged_at_debug(
    database: Any, caplog: pytest.LogCaptureFixture, verb: str, arguments: tuple[Any, ...]
) -> None:
    with caplog.at_level(logging.DEBUG, "databases"):
        await getattr(database, verb)(*arguments)

    assert arguments[0].split(" (")[0] in _of_level(caplog, logging.DEBUG)[0].getMessage()


async def test_iterate_is_logged_at_debug(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "databases"):
        assert [row async for row in database.iterate("SELECT text FROM notes")] == []

    assert "SELECT text FROM notes" in _of_level(caplog, logging.DEBUG)[0].getMessage()


async def test_queries_are_not_logged_at_info(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "databases"):
        await database.fetch_all("SELECT 1")
        await database.execute("DELETE FROM notes")

    assert [record for record in caplog.records if record.name == "databases"] == []


async def test_records_carry_the_extra_attributes(
    make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "databases"):
        async with make_database() as database:
            await database.fetch_all("SELECT 1")

    connected, disconnected = _of_level(caplog, logging.INFO)
    (queried,) = _of_level(caplog, logging.DEBUG)
    assert _carries(connected, core.CONNECT_EXTRA)
    assert _carries(disconnected, core.DISCONNECT_EXTRA)
    assert _carries(queried, core.LOG_EXTRA)


async def test_handlers_of_the_program_are_told(make_database: MakeDatabase) -> None:
    heard: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage().split()[0])

    handler = Handler()
    level = core.logger.level
    core.logger.addHandler(handler)
    core.logger.setLevel(logging.INFO)
    try:
        async with make_database():
            pass
    finally:
        core.logger.removeHandler(handler)
        core.logger.setLevel(level)

    assert heard == ["Connected", "Disconnected"]


@pytest.mark.drivers("asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy")
async def test_no_password_is_logged(
    make_database: MakeDatabase, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = make_database(str(DatabaseURL(url).replace(username="test", password="test")))

    with caplog.at_level(logging.DEBUG):
        async with database:
            await database.fetch_all("SELECT 1")

    assert ":test@" not in caplog.text
    assert "********" in caplog.text


def _carries(record: logging.LogRecord, extra: dict[str, Any]) -> bool:
    return vars(record).items() >= extra.items()
