"""What the library tells of its work: events, and the log of connections and queries."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "CONNECT_EXTRA",
    "DISCONNECT_EXTRA",
    "LOG_EXTRA",
    "AcquireEvent",
    "ConnectEvent",
    "Event",
    "Listener",
    "QueryEvent",
    "ReleaseEvent",
    "SlowQueries",
    "Source",
    "TransactionEvent",
    "log_query",
    "logger",
]

logger = logging.getLogger("databases")

# Given to every log call, so that a program can attach what its handlers want.
LOG_EXTRA: dict[str, Any] = {}
CONNECT_EXTRA: dict[str, Any] = {}
DISCONNECT_EXTRA: dict[str, Any] = {}

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 200
_shortened.maxlist = _shortened.maxtuple = _shortened.maxdict = 50


def log_query(sql: str, args: Sequence[Any] | None) -> None:
    """Log a statement as the driver gets it, at DEBUG; long values are shortened."""
    if args:
        logger.debug("Query: %s Args: %s", sql, _shortened.repr(list(args)), extra=LOG_EXTRA)
    else:
        logger.debug("Query: %s", sql, extra=LOG_EXTRA)


@dataclass(frozen=True, slots=True)
class Source:
    """The database that an event comes from."""

    system: str
    """``postgresql``, ``mysql``, ``mariadb``, ``sqlite``, or a third party's dialect.

    ``mariadb`` as soon as the server has said that it is one.
    """
    namespace: str | None
    """The database's name; on SQLite its file; None in memory."""
    address: str | None
    """Host or socket of the server; None on SQLite and where the URL names none."""
    port: int | None
    """Port in the URL; None where it names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that the database did for the program, told when it is over."""

    source: Source
    duration: float
    """Seconds from its beginning to its end."""
    error: BaseException | None = None
    """What it failed with: a driver's error, ``CancelledError``, ...

    Not to be kept: an exception keeps alive the frames that it came through.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEvent(Event):
    """A query has ended. Waiting for a connection is not part of it."""

    verb: str
    """The method that ran it: ``fetch_all``, ``execute_many``, ``iterate``, ..."""
    sql: str
    """The text as the driver got it, without the values of its parameters."""
    is_parameterized: bool
    """Whether values were sent beside the text."""
    operation: str | None = None
    """``SELECT``, ``INSERT``, ...: of an expression; None for a string."""
    collection: str | None = None
    """The one table that an expression is about; None for several and for a string."""
    row_count: int | None = None
    """Rows read, or changed by UPDATE and DELETE; None where the verb does not tell."""
    batch_size: int | None = None
    """Rows given to ``execute_many``."""
    loop_time: float = 0.0
    """Seconds of the duration that the body of an ``iterate`` loop took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectEvent(Event):
    """The pool has opened a connection to the server, or could not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireEvent(Event):
    """A connection was taken from the pool, or was not to be had; duration is the wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEvent(Event):
    """A connection was given back to the pool; duration is the time that it was away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEvent(Event):
    """A transaction or a savepoint has begun or ended, or failed to."""

    operation: Literal["begin", "commit", "rollback"]
    depth: int
    """1: the transaction itself; from 2 on: savepoints."""


Listener = Callable[[Event], object]
"""Called with each event, in the task and the step in which it happens.

A `ConnectEvent` happens in a task of the pool.
"""


class SlowQueries:
    """The listener that logs, at WARNING, queries of *threshold* seconds and more."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def __call__(self, event: Event) -> None:
        """Log *event* if it is a slow query; its values are never told."""
        if isinstance(event, QueryEvent):
            worked = event.duration - event.loop_time
            if worked >= self._threshold:
                logger.warning("Slow query: %.3f s: %s", worked, event.sql, extra=LOG_EXTRA)
