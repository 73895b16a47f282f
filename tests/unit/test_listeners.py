"""Listeners: added, removed and told, whatever they do."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from databases.backends.common.subjects import UNKNOWN, Subject, subject_of
from databases.events import AcquireEvent, Event, QueryEvent, SlowQueries, Source
from databases.listeners import Listeners

SOURCE = Source("sqlite", None, None, None)
EVENT = AcquireEvent(source=SOURCE, duration=0.5)
sales = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer), schema="sales")


def fail(event: Event) -> None:
    raise RuntimeError("broken listener")


def test_a_listener_that_raises_is_logged_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Event] = []
    listeners = Listeners()
    listeners.add(fail)
    listeners.add(heard.append)

    listeners.tell(EVENT)

    assert heard == [EVENT]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("databases", logging.ERROR)
    assert "broken listener" in caplog.text


def test_what_ends_a_program_passes_through() -> None:
    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    listeners = Listeners()
    listeners.add(stop)

    with pytest.raises(KeyboardInterrupt):
        listeners.tell(EVENT)


def test_a_listener_may_end_itself() -> None:
    heard: list[Event] = []
    listeners = Listeners()

    def once(event: Event) -> None:
        heard.append(event)
        end()

    end = listeners.add(once)
    listeners.tell(EVENT)
    listeners.tell(EVENT)

    assert heard == [EVENT]
    assert not listeners


def test_a_coroutine_function_is_refused() -> None:
    async def listen(event: Event) -> None:
        pass

    with pytest.raises(TypeError, match="coroutine function"):
        Database("sqlite://").listen(listen)


def test_nothing_is_left_when_the_last_listener_ends() -> None:
    database = Database("sqlite://")

    database.listen(fail)()

    assert database._listeners is None


@pytest.mark.parametrize(
    ("duration", "loop_time", "is_slow"), [(1.0, 0.0, True), (1.0, 0.9, False)]
)
def test_the_body_of_a_loop_makes_no_query_slow(
    caplog: pytest.LogCaptureFixture, duration: float, loop_time: float, is_slow: bool
) -> None:
    SlowQueries(0.2)(
        QueryEvent(
            source=SOURCE,
            duration=duration,
            verb="iterate",
            sql="SELECT 1",
            is_parameterized=False,
            loop_time=loop_time,
        )
    )

    expected = ["Slow query: 1.000 s: SELECT 1"] if is_slow else []
    assert [record.getMessage() for record in caplog.records] == expected


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        (sales.select(), Subject("SELECT", "sales.orders")),
        (sales.insert(), Subject("INSERT", "sales.orders")),
        (sales.alias("o").select(), Subject("SELECT", "sales.orders")),
        (sales.select().limit(1).subquery().select(), Subject("SELECT", None)),
        (sa.select(sa.func.now()), Subject("SELECT", None)),
        (sa.schema.DropTable(sales), Subject("DROP TABLE", "sales.orders")),
        (sa.schema.CreateSchema("sales"), Subject("CREATE SCHEMA", None)),
        (sa.schema.SetTableComment(sales), UNKNOWN),
        (sa.text("SELECT 1"), UNKNOWN),
        ("SELECT 1", UNKNOWN),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subjects(query: Any, subject: Subject) -> None:
    assert subject_of(query) == subject
