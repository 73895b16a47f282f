"""Listeners: who is told of a database's events, and the one place that tells them.

A `Connection` asks first whether anybody listens; what is here runs only then.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from databases.backends.common.backend import CommonBackend
from databases.backends.common.expressions import as_clause
from databases.backends.common.options import facade_option
from databases.backends.common.plans import BoundStatement
from databases.described import described, of_bound, row_count
from databases.events import (
    AcquireEvent,
    ConnectEvent,
    Event,
    Listener,
    QueryEvent,
    ReleaseEvent,
    SlowQueries,
    Source,
    TransactionEvent,
    logger,
)
from databases.urls import DatabaseURL

if TYPE_CHECKING:
    from databases.connection import Connection
    from databases.core import Database

__all__ = ["Listeners", "Operation", "WatchedStream", "listen", "set_up_log", "source_of"]

Operation = Literal["begin", "commit", "rollback"]
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
    backend = database._backend
    if isinstance(backend, CommonBackend):  # a third party's opens connections untold
        backend.on_open = partial(listeners.opened, database.url)

    def end() -> None:
        remove()
        if database._listeners is listeners and not listeners:
            database._listeners = None
            if isinstance(backend, CommonBackend):
                backend.on_open = None

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
        raw = getattr(connection._connection, "_connection", None)
        return self._source_of(connection._database.url, raw)

    def _source_of(self, url: DatabaseURL, raw: Any) -> Source:
        if self._known is not None and self._known[0] is url:
            return self._known[1]
        source = source_of(url, raw)
        if raw is not None:
            self._known = (url, source)
        return source

    # What a connection does, timed

    async def query(
        self, connection: Connection, verb: Callable[..., Awaitable[Any]], query: Any, *rest: Any
    ) -> Any:
        """Run *verb* with *query* and *rest*, and tell how it ended."""
        asked = described(connection._connection, query)
        name = getattr(verb, "__name__", "run")
        with _Timed(self, connection, QueryEvent, {"verb": name, **asked.known}) as known:
            result = await verb(asked.query, *rest)
            known["row_count"] = row_count(name, result, asked.plan)
        return result

    async def query_many(
        self,
        connection: Connection,
        query: Any,
        rows: Iterable[Mapping[str, Any]],
        *,
        is_ours: bool,
    ) -> None:
        """Run *query* once per row, and tell how it ended."""
        backend: Any = connection._connection
        known: dict[str, Any] = {}
        if not is_ours:
            if not (clauses := [as_clause(query, each) for each in rows]):
                return
            known = {"batch_size": len(clauses), **described(backend, clauses[0]).known}
            with _Timed(self, connection, QueryEvent, {"verb": "execute_many", **known}):
                await backend.execute_many(clauses)
            return
        # Lists are left as they are: they can be sent again over another connection.
        counted = _Counted(rows)
        given = rows if isinstance(rows, Sized) else counted

        def told(bound: BoundStatement) -> None:
            known.update({"verb": "execute_many", **of_bound(bound, query).known})

        with _Timed(self, connection, QueryEvent, known):
            try:
                await backend.execute_many(query, given, told)
            finally:
                if known:  # or else the first row could not be bound
                    known["batch_size"] = len(rows) if isinstance(rows, Sized) else counted.count

    async def call(
        self,
        connection: Connection,
        sql: str,
        args: Sequence[Any],
        run: Callable[[], Awaitable[Any]],
        *,
        is_many: bool,
    ) -> Any:
        """Run *sql* by *run* for SQLAlchemy's synchronous side, and tell how it ended."""
        about = {"verb": "run_sync", "sql": sql, "is_parameterized": bool(args)}
        if is_many:
            about["batch_size"] = len(args)
        with _Timed(self, connection, QueryEvent, about) as known:
            called = await run()
            known["row_count"] = getattr(called, "row_count", None)
        return called

    async def acquire(self, connection: Connection) -> None:
        """Acquire the connection of the backend, and tell how long that took."""
        with _Timed(self, connection, AcquireEvent, {}):
            await connection._connection.acquire()
        connection._acquired_at = perf_counter()

    def released(self, connection: Connection) -> None:
        """Tell that the connection of the backend is about to be given back."""
        begun, connection._acquired_at = connection._acquired_at, None
        if begun is not None:
            duration = perf_counter() - begun
            self.tell(ReleaseEvent(source=self.source(connection), duration=duration))

    def opened(self, url: DatabaseURL, begun: float, raw: Any, error: BaseException | None) -> None:
        """Tell that a connection to the server was opened, or could not be."""
        source = self._source_of(url, raw)
        self.tell(ConnectEvent(source=source, duration=perf_counter() - begun, error=error))

    async def transaction(
        self, connection: Connection, operation: Operation, depth: int, work: Awaitable[None]
    ) -> None:
        """Await *work*, which begins or ends a transaction, and tell how it ended."""
        known = {"operation": operation, "depth": depth}
        with _Timed(self, connection, TransactionEvent, known):
            await work

    def ended(self, connection: Connection, operation: Operation, depth: int) -> None:
        """Tell of the end of a transaction that nobody has waited for."""
        with _Timed(self, connection, TransactionEvent, {"operation": operation, "depth": depth}):
            pass


class _Timed:
    """A block that is told as an event of *kind* when it has ended.

    What is *known* of it may be completed inside; told is nothing of a query
    of which not even the text is known.
    """

    __slots__ = ("_begun", "_connection", "_kind", "_known", "_listeners")

    def __init__(
        self, listeners: Listeners, connection: Connection, kind: type[Event], known: dict[str, Any]
    ) -> None:
        self._listeners = listeners
        self._connection = connection
        self._kind = kind
        self._known = known
        self._begun = perf_counter()

    def __enter__(self) -> dict[str, Any]:
        return self._known

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        duration = perf_counter() - self._begun
        if self._known or self._kind is not QueryEvent:
            source = self._listeners.source(self._connection)
            event = self._kind(source=source, duration=duration, error=error, **self._known)
            self._listeners.tell(event)


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
        self._asked = described(connection._connection, query)
        self._items = make(self._asked.query)
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
        event = QueryEvent(
            source=self._listeners.source(self._connection),
            duration=perf_counter() - self._begun,
            error=error,
            verb="iterate",
            row_count=self._rows,
            loop_time=self._loop_time,
            **self._asked.known,
        )
        self._context.run(self._listeners.tell, event)


def source_of(url: DatabaseURL, raw: Any = None) -> Source:
    """Return what *url* says of the server, and *raw*, a connection to it, if there is one."""
    system = _SYSTEMS.get(url.dialect, url.dialect)
    if system == "mysql" and raw is not None and _is_mariadb(raw):
        system = "mariadb"
    return Source(system, url.database or None, url.hostname or None, url.port)


def _is_mariadb(raw: Any) -> bool:
    try:
        return "mariadb" in raw.get_server_info().lower()
    except Exception:  # noqa: BLE001  # a third party's connection
        return False
