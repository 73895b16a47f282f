"""Database: the facade that lends connections to tasks and starts transactions."""

from __future__ import annotations

import asyncio
import sys
import warnings
import weakref
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, ClassVar

from sqlalchemy import URL, ClauseElement

from databases.backends.common.direct import Direct
from databases.backends.common.options import without_facade_options
from databases.backends.common.slots import PoolStats
from databases.backends.common.statements import CacheStats
from databases.connection import Connection
from databases.errors import ConfigurationError, InterfaceError
from databases.events import CONNECT_EXTRA, DISCONNECT_EXTRA, LOG_EXTRA, Listener, logger
from databases.handed import is_ours
from databases.hooks import Hooking
from databases.importer import import_from_string
from databases.interfaces import DatabaseBackend, Record
from databases.limits import forks, limited
from databases.listeners import Listeners, listen, set_up_log
from databases.queries import Queries
from databases.schema import Inspecting
from databases.streaming import TaskStreams
from databases.transactions import _ACTIVE_TRANSACTIONS, Transaction, current_task
from databases.urls import DatabaseURL

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

__all__ = [
    "CONNECT_EXTRA",
    "DISCONNECT_EXTRA",
    "LOG_EXTRA",
    "_ACTIVE_TRANSACTIONS",
    "Connection",
    "Database",
    "DatabaseURL",
    "Transaction",
    "logger",
]


class Database(Queries, Hooking, Inspecting):
    """One database: connects once, then serves any number of tasks.

    *url* and *options* are described on the connections page; options given
    here win over those in the URL. ``log_values=False`` keeps the values of
    parameters out of the log. Queries that take *slow_query_threshold* seconds
    or more are logged at WARNING; None logs none.
    """

    SUPPORTED_BACKENDS: ClassVar[dict[str, str]] = {
        "postgresql": "databases.backends.postgres:PostgresBackend",
        "postgresql+psycopg": "databases.backends.psycopg:PsycopgBackend",
        "postgresql+aiopg": "databases.backends.aiopg:AiopgBackend",
        "postgres": "databases.backends.postgres:PostgresBackend",
        "mysql": "databases.backends.mysql:MySQLBackend",
        "mysql+asyncmy": "databases.backends.asyncmy:AsyncMyBackend",
        "mariadb": "databases.backends.mysql:MySQLBackend",
        "mariadb+asyncmy": "databases.backends.asyncmy:AsyncMyBackend",
        "sqlite": "databases.backends.sqlite:SQLiteBackend",
    }

    _connection_map: MutableMapping[asyncio.Task[Any], Connection]

    def __init__(
        self,
        url: str | DatabaseURL | URL,
        *,
        force_rollback: bool = False,
        log_values: bool | None = None,
        slow_query_threshold: float | None = None,
        **options: Any,
    ) -> None:
        self.url = DatabaseURL(url)
        self.options = options
        self.is_connected = False
        self._connection_map = weakref.WeakKeyDictionary()
        self._streams = TaskStreams()
        self._hook_tasks = set()
        self._force_rollback = force_rollback
        self._backend: DatabaseBackend = self._make_backend()
        # What force_rollback shares among all tasks while it is connected.
        self._global_connection: Connection | None = None
        self._global_transaction: Transaction | None = None
        self._connecting: tuple[weakref.ref[asyncio.AbstractEventLoop], asyncio.Lock] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks = forks.count
        # None while nobody listens: that is all a query asks.
        self._listeners: Listeners | None = None
        set_up_log(self, log_values=log_values, threshold=slow_query_threshold)

    def _make_backend(self) -> DatabaseBackend:
        cls = import_from_string(self._get_backend())
        backend: DatabaseBackend = cls(without_facade_options(self.url), **self.options)
        return backend

    def _get_backend(self) -> str:
        # Overridden by programs: where the backend's class is, as "module:Class".
        backends, scheme = self.SUPPORTED_BACKENDS, self.url.scheme
        path = backends.get(scheme) or backends.get(self.url.dialect)
        if path is None:
            raise ConfigurationError(
                f"cannot use the URL scheme {scheme!r}: no such database is known; "
                f"the known ones are {', '.join(sorted(backends))}"
            )
        return path

    # Connecting

    async def connect(self) -> None:
        """Open the pool; does nothing when it is open.

        Raises what the driver raises when the server cannot be reached, and
        may be called again then.
        """
        if self._forks != forks.count:
            await self._forget_parent()
        async with self._one_at_a_time():
            if self.is_connected and self._loop is not None and self._loop.is_closed():
                # Nobody can disconnect it there any more.
                self._global_connection = self._global_transaction = None
                await self._close()
            if self.is_connected:
                logger.debug("Already connected, skipping connection")
                return
            await self._backend.connect()
            self.is_connected = True
            self._loop = asyncio.get_running_loop()
            logger.info("Connected to database %s", self.url.obscure_password, extra=CONNECT_EXTRA)
            if self._force_rollback:
                try:
                    await self._begin_global()
                except GeneratorExit:
                    self._close_at_once()
                    raise
                except BaseException:
                    await self._close()
                    raise

    def _one_at_a_time(self) -> asyncio.Lock:
        """Return the lock of whoever connects or disconnects on this event loop."""
        loop = asyncio.get_running_loop()
        if self._connecting is None or self._connecting[0]() is not loop:
            self._connecting = weakref.ref(loop), asyncio.Lock()
        return self._connecting[1]

    async def _forget_parent(self) -> None:
        """Start anew in a process that was forked; what the parent holds stays its own."""
        self._forks, self._connecting = forks.count, None
        forks.inherited.append((self._global_connection, self._connection_map))
        self._global_connection = self._global_transaction = None
        if self.is_connected:
            self._connection_map = weakref.WeakKeyDictionary()
            await self._close()

    async def _begin_global(self) -> None:
        connection = Connection(self, self._backend)
        transaction = connection.transaction(force_rollback=True)
        await transaction.start()
        connection._stack.runs[0].is_shared = True
        self._global_connection, self._global_transaction = connection, transaction

    async def disconnect(self, timeout: float | None = None) -> None:
        """Close the pool; does nothing when it is closed.

        Waits up to *timeout* seconds for connections that other tasks hold.
        """
        if self._forks != forks.count:
            await self._forget_parent()
        if self.is_connected:
            await self._finish_hooks(timeout)
        if not self.is_connected:
            logger.debug("Already disconnected, skipping disconnection")
            return
        transaction, self._global_transaction = self._global_transaction, None
        connection = self._global_connection
        self.is_connected = False
        try:
            try:
                if transaction is not None:
                    async with self._one_at_a_time():
                        await transaction.__aexit__()
            except GeneratorExit:
                self._close_at_once()
                raise
            except BaseException:
                await self._close(timeout)
                raise
            await self._close(timeout)
        finally:
            # Not before: what other tasks do meanwhile must not go around it, and be kept.
            if self._global_connection is connection:  # nobody has connected again meanwhile
                self._global_connection = None
        logger.info(
            "Disconnected from database %s", self.url.obscure_password, extra=DISCONNECT_EXTRA
        )

    async def _close(self, timeout: float | None = None) -> None:
        self.is_connected = False
        before = weakref.WeakSet(self._connection_map.values())
        for connection in before:
            connection._note_who_waits()
        try:
            if timeout is None:
                await self._backend.disconnect()
            else:
                await self._backend.disconnect(timeout)  # type: ignore[call-arg]  # ours takes it
        finally:
            self._forget_connections(before)

    def _forget_connections(self, closed: weakref.WeakSet[Connection]) -> None:
        """Forget those of *closed* that no other task is inside of, and no transaction.

        What is still done in there must not go around it, and be kept.
        """
        me = current_task()
        for task, connection in list(self._connection_map.items()):
            is_used = connection._is_acquired and (task is not me or connection._stack.runs)
            if connection in closed and not is_used:
                del self._connection_map[task]

    def _close_at_once(self) -> None:
        """Close the pool where nothing may be waited for."""
        closing = self._close()
        with suppress(StopIteration):
            closing.send(None)
        closing.close()

    def __del__(self) -> None:
        if self.__dict__.get("is_connected") and self._forks == forks.count:
            warnings.warn(
                f"{self!r} was collected while it was connected; disconnect() it first",
                ResourceWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url.obscure_password!r})"

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if exc_type is None or not issubclass(exc_type, GeneratorExit):
            await self.disconnect()
        elif self.is_connected:  # nothing may be waited for
            self._global_connection = self._global_transaction = None
            self._close_at_once()

    def pool_stats(self) -> PoolStats:
        """Return what the connections of the pool are doing."""
        pool: Any = getattr(self._backend, "_pool", None)
        if not hasattr(pool, "stats"):
            return PoolStats(0, 0, 0, 0, 0, 0, 0, None)
        stats: PoolStats = pool.stats()
        return stats

    def cache_stats(self) -> CacheStats:
        """Return how well the statements of the queries are remembered."""
        find: Any = getattr(self._backend, "cache_stats", None)
        stats: CacheStats = CacheStats(0, 0, 0, 0) if find is None else find()
        return stats

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call *listener* with each event from now on; the function returned ends that.

        Events are those of `databases.events`. *listener* is a plain function
        and runs between the query and the task that waits for it: it has to be
        quick. What it raises is logged and reaches no query.
        """
        return listen(self, listener)

    # Queries

    async def _batches(
        self, query: ClauseElement | str, values: Mapping[str, Any] | None, timeout: float | None
    ) -> AsyncGenerator[Sequence[Record], None]:
        is_alone = self._is_alone() and not self._is_scarce()
        source = Connection(self, self._backend) if is_alone else self.connection()
        with self._streams.noting(source):
            if getattr(source.iterate, "__func__", None) is Queries.iterate:
                async with aclosing(source._batches(query, values, timeout)) as batches:
                    async for batch in batches:
                        yield batch
            else:  # replaced by a program
                async with aclosing(source.iterate(query, values, timeout=timeout)) as records:
                    async for record in records:
                        yield (record,)

    async def _make_room(self) -> None:
        """Keep no connection for streams of a task that would wait for another one."""
        if getattr(getattr(self._backend, "_pool", None), "is_exhausted", False):
            await self._streams.yield_places()

    def _is_alone(self) -> bool:
        """Tell whether the task holds no connection that a stream would have to be on."""
        task = asyncio.current_task()
        return (
            self._global_connection is None
            and type(self).connection is _connection
            and "connection" not in self.__dict__
            and task not in self._connection_map
            and task not in self._streams
            and is_ours(self._backend.connection(), "iterate")
        )

    def _is_scarce(self) -> bool:
        """Tell whether the task's own connection serves a stream better than a second one.

        So it does where no second one might come, and where queries go on beside it.
        """
        driver = getattr(self._backend, "driver", None)
        needs_own = driver is None or driver.streams_in_transaction or not driver.interleaves
        return not needs_own or self.pool_stats().max_size == 1

    def _runner(self, verb: str, timeout: float | None) -> Callable[..., Awaitable[Any]]:
        # Quickest where `connection` has not to be asked.
        if (
            timeout is not None
            or self._global_connection is not None
            or self._listeners is not None
            or type(self).connection is not _connection
            or "connection" in self.__dict__
            or getattr(Connection, verb) is not getattr(Queries, verb)
        ):
            return partial(self._run_entered, verb, timeout)
        if self._connection_map or self._streams.sources:
            task: Any = asyncio.current_task()
            own = self._connection_map.get(task)
            if own is not None:
                # Its method would do no more than this, in one more frame.
                if type(own) is Connection and verb not in own.__dict__:
                    return own._runner(verb, None)
                return getattr(own, verb)  # type: ignore[no-any-return]
            if task in self._streams:
                return partial(self._run_entered, verb, None)
        backend: Any = self._backend
        try:
            find: Callable[[str], Direct | None] = backend.direct
        except AttributeError:  # a third party's
            return partial(self._run_entered, verb, None)
        direct = find(verb)
        if direct is None:
            return partial(self._run_entered, verb, None)
        return getattr(direct, verb)  # type: ignore[no-any-return]

    async def _run_entered(self, verb: str, timeout: float | None, *args: Any) -> Any:
        async with limited(timeout), self.connection() as connection:
            return await getattr(connection, verb)(*args)

    # Connections and transactions

    def connection(self, *, new: bool = False) -> Connection:
        """Return the connection of the current task; enter it to acquire it.

        With *new* it is a second one, which nothing else uses; only with
        force_rollback there is no second one.
        """
        if self._global_connection is not None:
            if asyncio.get_running_loop() is not self._loop:
                raise InterfaceError(
                    "cannot use the database: with force_rollback it has one connection, made "
                    "on another event loop; connect() on the loop that runs the queries"
                )
            return self._global_connection
        if new:
            return Connection(self, self._backend)
        task = self._current_task
        connection = self._connection_map.get(task)
        if connection is None:
            connection = self._connection_map[task] = Connection(self, self._backend)
        return connection

    @property
    def _connection(self) -> Connection | None:
        # The entry of the current task, if it has one: subclasses read and replace it.
        return self._connection_map.get(self._current_task)

    @_connection.setter
    def _connection(self, connection: Connection | None) -> None:
        if connection is None:
            self._connection_map.pop(self._current_task, None)
        else:
            self._connection_map[self._current_task] = connection

    @property
    def _current_task(self) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("No connection available: there is no running task")
        return task

    def _connection_released(self, connection: Connection) -> None:
        entries = self._connection_map
        task = current_task()
        if task is not None and entries.get(task) is connection:
            del entries[task]
            return
        # Released by another task than the one it belongs to.
        for task, each in list(entries.items()):
            if each is connection:
                del entries[task]

    def transaction(self, *, force_rollback: bool = False, **kwargs: Any) -> Transaction:
        """Return a transaction: ``async with``, ``await``, or decorator.

        *kwargs* are its options: ``isolation``, ``readonly``, ``deferrable``;
        on SQLite ``mode``. A backend that has not what was asked refuses it.
        With ``timeout``, a block or a decorated call that takes longer than so
        many seconds is rolled back and raises ``TimeoutError``.
        """
        return Transaction(self.connection, force_rollback, **kwargs)

    @contextmanager
    def force_rollback(self) -> Iterator[None]:
        """Roll back, at disconnect, what is done on connections made in the block."""
        before, self._force_rollback = self._force_rollback, True
        try:
            yield
        finally:
            self._force_rollback = before


_connection = Database.connection
