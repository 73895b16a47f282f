"""Listeners: who is told of a database's events, and the one place that tells them.

A `Connection` asks first whether anybody listens; what is here runs only then.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.elements import TextClause

from databases.backends.common.kinds import Kind
from databases.backends.common.options import facade_option
from databases.backends.common.plans import BoundStatement, Plan
from databases.backends.common.statements import Query, as_clause
from databases.backends.common.subjects import UNKNOWN, Subject, subject_of
from databases.events import (
    AcquireEvent,
    Event,
    Listener,
    QueryEvent,
    SlowQueries,
    Source,
    TransactionEvent,
    logger,
)
from databases.results import Result
from databases.urls import DatabaseURL

if TYPE_CHECKING:
    from databases.connection import Connection
    from databases.core import Database

__all__ = ["Listeners", "WatchedStream", "listen", "set_up_log", "source_of"]

_SYSTEMS = {"postgres": "postgresql"}


def listen(database: Database, listener: Listener) -> Callable[[], None]:
    """Let *listener* be told of what *database* does; the function returned ends that."""
    if inspect.iscoroutinefunction(listener):
        raise TypeError(
            "cannot listen: the listener is a coroutine function; give a plain function"
        )
    listeners = database._listeners or Listeners()
    remove = listeners.add(listener)
    database._listeners = listeners

    def end() -> None:
        remove()
        if database._listeners is listeners and not listeners:
            database._listeners = None

    return end


def set_up_log(database: Database, *, log_values: bool | None, threshold: float | None) -> None:
    """Log queries as the options say: `Database`'s own, or those of its URL."""
    if facade_option(database.url, "log_values", log_values) is False:
        hide: Callable[[], None] | None = getattr(database._backend, "hide_values", None)
        if hide is not None:
            hide()
    threshold = facade_option(database.url, "slow_query_threshold", threshold)
    if threshold is not None:
        listen(database, SlowQueries(threshold))


class Listeners:
    """The listeners of one database. False while there are none."""

    def __init__(self) -> None:
        # Replaced, never mutated: a listener may end itself while it is told.
        self._entries: tuple[tuple[Listener], ...] = ()
        self._known: tuple[Any, Source] | None = None

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Add *listener*; the function returned removes it."""
        entry = (listener,)
        self._entries += (entry,)

        def remove() -> None:
            self._entries = tuple(each for each in self._entries if each is not entry)

        return remove

    def tell(self, event: Event) -> None:
        """Call every listener with *event*; one that raises is logged."""
        for (listener,) in self._entries:
            try:
                listener(event)
            except Exception:  # noqa: BLE001, PERF203  # whatever it is, it is not the query's
                logger.exception("a listener failed with an event; the query goes on")

    def source(self, connection: Connection) -> Source:
        """Return where the events of *connection* come from."""
        url = connection._database.url
        if self._known is not None and self._known[0] is url:
            return self._known[1]
        raw = getattr(connection._connection, "_connection", None)
        source = source_of(url, raw)
        if raw is not None:
            self._known = (url, source)
        return source

    # What a connection does, watched

    async def query(
        self, connection: Connection, verb: Callable[..., Awaitable[Any]], query: Any, *rest: Any
    ) -> Any:
        """Run *verb* with *query* and *rest*, and tell how it ended."""
        statement = _described(connection._connection, query)
        name = getattr(verb, "__name__", "run")
        begun = perf_counter()
        try:
            result = await verb(statement.query, *rest)
        except BaseException as error:
            duration = perf_counter() - begun
            self.tell(self._query_event(connection, name, statement, duration, error=error))
            raise
        duration = perf_counter() - begun
        count = _row_count(name, result, statement.plan)
        self.tell(self._query_event(connection, name, statement, duration, row_count=count))
        return result

    async def text(
        self, connection: Connection, sql: str, args: Sequence[Any], work: Awaitable[Any]
    ) -> Any:
        """Await *work*, a statement of SQLAlchemy's own, and tell how it ended."""
        statement = _Statement(sql, sql, bool(args), UNKNOWN)
        begun = perf_counter()
        failure: BaseException | None = None
        try:
            return await work
        except BaseException as error:
            failure = error
            raise
        finally:
            duration = perf_counter() - begun
            event = self._query_event(connection, "run_sync", statement, duration, error=failure)
            self.tell(event)

    async def query_many(
        self,
        connection: Connection,
        query: Any,
        rows: Iterable[Mapping[str, Any]],
        *,
        is_ours: bool,
    ) -> None:
        """Run *query* once per row, and tell how it ended."""
        if not is_ours:
            rows = list(rows)
            if not rows:
                return
        counted = _Counted(rows)
        given = rows if isinstance(rows, Sized) else counted
        backend: Any = connection._connection
        seen: list[BoundStatement] = []

        def told(bound: BoundStatement) -> None:
            seen[:] = seen or [bound]

        failure: BaseException | None = None
        begun = perf_counter()
        try:
            if is_ours:
                await backend.execute_many(query, given, told)
            else:
                await backend.execute_many([as_clause(query, each) for each in rows])
        except BaseException as error:
            failure = error
            raise
        finally:
            duration = perf_counter() - begun
            # Ours has bound nothing if the first row could not be bound.
            if seen or not is_ours:
                statement = (
                    _of_bound(seen[0], query)
                    if seen
                    else _described(backend, as_clause(query, next(iter(rows))))
                )
                event = self._query_event(
                    connection,
                    "execute_many",
                    statement,
                    duration,
                    error=failure,
                    batch_size=len(rows) if isinstance(rows, Sized) else counted.count,
                )
                self.tell(event)

    async def acquire(self, connection: Connection) -> None:
        """Acquire the connection of the backend, and tell how long that took."""
        begun = perf_counter()
        failure: BaseException | None = None
        try:
            await connection._connection.acquire()
        except BaseException as error:
            failure = error
            raise
        finally:
            duration = perf_counter() - begun
            source = self.source(connection)
            self.tell(AcquireEvent(source=source, duration=duration, error=failure))

    async def transaction(
        self,
        connection: Connection,
        operation: Literal["begin", "commit", "rollback"],
        depth: int,
        work: Awaitable[None],
    ) -> None:
        """Await *work*, which begins or ends a transaction, and tell how it ended."""
        begun = perf_counter()
        failure: BaseException | None = None
        try:
            await work
        except BaseException as error:
            failure = error
            raise
        finally:
            self.ended(connection, operation, depth, perf_counter() - begun, failure)

    def ended(
        self,
        connection: Connection,
        operation: Literal["begin", "commit", "rollback"],
        depth: int,
        duration: float = 0.0,
        error: BaseException | None = None,
    ) -> None:
        """Tell of a transaction that has begun or ended."""
        self.tell(
            TransactionEvent(
                source=self.source(connection),
                duration=duration,
                error=error,
                operation=operation,
                depth=depth,
            )
        )

    def _query_event(
        self,
        connection: Connection,
        verb: str,
        statement: _Statement,
        duration: float,
        **known: Any,
    ) -> QueryEvent:
        return QueryEvent(
            source=self.source(connection),
            duration=duration,
            verb=verb,
            sql=statement.sql,
            is_parameterized=statement.is_parameterized,
            operation=statement.subject.operation,
            collection=statement.subject.collection,
            **known,
        )


class _Counted:
    """Rows that are counted as they are taken."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows:
            self.count += 1
            yield row


class WatchedStream:
    """An iterator over batches of rows, or over rows, that tells when it has ended."""

    def __init__(
        self, listeners: Listeners, connection: Connection, query: Any, make: Callable[[Any], Any]
    ) -> None:
        self._listeners = listeners
        self._connection = connection
        self._statement = _described(connection._connection, query)
        self._items = make(self._statement.query)
        # The collector may end a stream from anywhere.
        self._context = contextvars.copy_context()
        self._rows = 0
        self._loop_time = 0.0
        self._begun = self._paused = perf_counter()
        self._has_ended = False

    def __aiter__(self) -> WatchedStream:
        return self

    async def __anext__(self) -> Any:
        if self._rows:
            self._loop_time += perf_counter() - self._paused
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._rows += len(item) if isinstance(item, list) else 1
        self._paused = perf_counter()
        return item

    async def aclose(self) -> None:
        """End before the last row."""
        if self._rows and not self._has_ended:
            self._loop_time += perf_counter() - self._paused
        try:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        event = self._listeners._query_event(
            self._connection,
            "iterate",
            self._statement,
            perf_counter() - self._begun,
            error=error,
            row_count=self._rows,
            loop_time=self._loop_time,
        )
        self._context.run(self._listeners.tell, event)


def source_of(url: DatabaseURL, raw: Any = None) -> Source:
    """Return what *url* says of the server, and *raw*, a connection to it, if there is one."""
    system = _SYSTEMS.get(url.dialect, url.dialect)
    if system == "mysql" and raw is not None and _is_mariadb(raw):
        system = "mariadb"
    return Source(system, url.database or None, url.hostname or None, url.port)


class _Statement(NamedTuple):
    """What is known of a query before it runs."""

    query: Any
    """What the backend is given: bound already where it is ours."""
    sql: str
    is_parameterized: bool
    subject: Subject
    plan: Plan | None = None


def _described(backend: Any, query: Any) -> _Statement:
    if query.__class__ is Query:
        return _of_bound(backend._compile(query), query.query)
    if isinstance(query, TextClause):
        return _Statement(query, query.text, bool(query._bindparams), UNKNOWN)
    try:
        sql = str(query.compile(dialect=getattr(backend, "_dialect", None)))
    except Exception:  # noqa: BLE001  # the backend compiles it in its own way
        sql = type(query).__name__
    return _Statement(query, sql, is_parameterized=True, subject=subject_of(query))


def _of_bound(bound: BoundStatement, query: Any) -> _Statement:
    plan = bound.plan
    subject = plan.subject
    if subject is None:
        if not isinstance(query, (str, ClauseElement)):
            query = query.__clause_element__()
        subject = plan.subject = subject_of(query)
    return _Statement(bound, bound.sql, bool(bound.args), subject, plan)


def _row_count(verb: str, result: Any, plan: Plan | None) -> int | None:
    if isinstance(result, list):
        return len(result)
    if isinstance(result, Result):
        return result.rowcount
    if verb == "fetch_one":
        return 0 if result is None else 1
    if verb == "execute" and plan is not None and plan.kind is Kind.UPDATE:
        return result if isinstance(result, int) and not plan.returns_rows else None
    return None


def _is_mariadb(raw: Any) -> bool:
    try:
        return "mariadb" in raw.get_server_info().lower()
    except Exception:  # noqa: BLE001  # a third party's connection
        return False
