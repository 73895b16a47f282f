"""Listening, and what a listener is told."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import assert_type

from databases import Database
from databases.contrib.opentelemetry import instrument
from databases.events import AcquireEvent, Event, QueryEvent, TransactionEvent


def report(event: Event) -> None:
    assert_type(event.duration, float)
    assert_type(event.error, BaseException | None)
    assert_type(event.source.port, int | None)
    if isinstance(event, QueryEvent):
        assert_type(event.sql, str)
        assert_type(event.row_count, int | None)
        assert_type(event.collection, str | None)
    elif isinstance(event, TransactionEvent):
        assert_type(event.depth, int)
    elif isinstance(event, AcquireEvent):
        event.duration = 1.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


database = Database("sqlite://", log_values=False, slow_query_threshold=0.2)
assert_type(database.listen(report), Callable[[], None])
database.listen(print)
assert_type(instrument(database), Callable[[], None])

Database("sqlite://", log_values="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
