"""The backend written once over a driver: connections that are lent by the pool.

`CommonConnection` is what a driver's named connection class inherits from; the
named classes exist because programs import, subclass and patch them.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from itertools import chain
from typing import Any, ClassVar

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common import rawsql
from databases.backends.common.cleaning import called
from databases.backends.common.direct import Direct, Originals
from databases.backends.common.driver import Driver, Fetched, Outcome, RawConnection
from databases.backends.common.kinds import Kind
from databases.backends.common.options import OptionTable, given_options, split_options
from databases.backends.common.outcomes import result_of
from databases.backends.common.plans import BoundStatement
from databases.backends.common.pool import Pool
from databases.backends.common.records import Layout
from databases.backends.common.statements import CacheStats, Query, Statements, fitted
from databases.backends.common.streams import BATCH_SIZE, OpenStream
from databases.backends.common.synchronous import SynchronousLease
from databases.errors import (
    ConnectionStateError,
    NotConnectedError,
)
from databases.interfaces import DatabaseBackend, TransactionBackend
from databases.results import Result
from databases.urls import DatabaseURL

__all__ = ["CommonBackend", "CommonConnection"]


class CommonBackend(DatabaseBackend):
    """One database over one driver. Subclasses name the driver, the dialect and the classes."""

    driver: ClassVar[Driver]
    option_table: ClassVar[OptionTable]
    connection_class: ClassVar[type[CommonConnection]]
    pool_class: ClassVar[type[Pool]] = Pool
    _originals: ClassVar[Originals]
    on_open: Callable[[float, Any, BaseException | None], None] | None = None
    """Told when a connection has been opened, or could not be: since when, it, what it met."""
    _hides_values = False

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        self._database_url = DatabaseURL(database_url)
        self._options = options
        self._dialect = self._get_dialect()
        self._pool: Any = None
        self._direct: Direct | None = None

    @classmethod
    def make_of(cls, connection_class: type[CommonConnection]) -> None:
        """Name the class of the connections, whose methods are not replaced yet."""
        cls.connection_class = connection_class
        cls._originals = Originals(cls, connection_class)

    def _get_dialect(self) -> Dialect:
        raise NotImplementedError

    def make_dialect(self) -> Dialect:
        """Return a new dialect of the driver, a program's own if it overrides `_get_dialect`."""
        return fitted(self._get_dialect(), self.connection_class.style)

    def _get_connection_kwargs(self) -> dict[str, Any]:
        """Return the options that were given, typed, under the driver's names."""
        return given_options(self._database_url, self._options, self.option_table)

    async def connect(self) -> None:
        """Open the pool; raises what the driver raises when the server cannot be reached."""
        if self._pool is not None:
            raise ConnectionStateError(
                "DatabaseBackend is already running; disconnect() before connecting again"
            )
        options, arguments = split_options(
            self._get_connection_kwargs(), self.option_table, self.driver.accepts
        )
        pool = self.pool_class(self.driver, self._opener(arguments, options), options)
        pool.opened = self._opened
        statements = statements_of(self._dialect, self.connection_class)
        statements.resize(options.query_cache_size)
        statements.hides_values = self._hides_values
        await pool.start()
        self._pool = pool

    def cache_stats(self) -> CacheStats:
        """Return how well statements are remembered."""
        return statements_of(self._dialect, self.connection_class).stats()

    def _opener(self, arguments: Mapping[str, Any], options: Any) -> Any:
        url = self._database_url

        async def open_connection() -> RawConnection:
            make = self.driver.connect if options.connect is None else options.connect
            return await make(url, dict(arguments))

        return open_connection

    def _opened(self, begun: float, raw: RawConnection | None, error: BaseException | None) -> None:
        if self.on_open is not None:
            self.on_open(begun, raw, error)

    async def disconnect(self, timeout: float | None = None) -> None:
        """Close the pool; see `Pool.shut_down` for *timeout*."""
        pool = self._pool
        if pool is None:
            raise NotConnectedError("DatabaseBackend is not running; connect() first")
        self._pool = None
        if isinstance(pool, Pool):
            await pool.shut_down(timeout)
        else:
            await called(pool.close)

    def hide_values(self) -> None:
        """Keep the values of parameters out of the log."""
        self._hides_values = True
        statements_of(self._dialect, self.connection_class).hides_values = True

    def direct(self, verb: str) -> Direct | None:
        """Return what runs a single *verb* quickest, None where a program has replaced it."""
        originals, cls = self._originals, self.connection_class
        # Compared one by one and in place: it is done for every query.
        if (
            type(self).connection is not originals.connection
            or "connection" in self.__dict__
            or getattr(cls, verb) is not originals.verbs.get(verb)
            or cls.fetch_one is not originals.fetch_one
            or cls.acquire is not originals.acquire
            or cls.release is not originals.release
            or cls._compile is not originals.compile
            or not getattr(self._pool, "lends_slots", False)
        ):
            return None
        direct = self._direct
        if direct is None or direct.dialect is not self._dialect:
            direct = self._direct = Direct(self)
        return direct

    def connection(self) -> CommonConnection:
        """Return a connection that is not acquired yet."""
        return self.connection_class(self, self._dialect)


class CommonConnection(SynchronousLease):
    """One connection of a backend, holding a raw connection while it is acquired."""

    driver: ClassVar[Driver]
    style: ClassVar[rawsql.Style]
    syntax: ClassVar[rawsql.Syntax]
    selects_value: ClassVar[bool] = False
    """Whether `execute` of a SELECT gives its first value, and not its row count."""

    def __init__(self, database: Any, dialect: Dialect) -> None:
        super().__init__(database)
        self._dialect = dialect
        self._statements = statements_of(dialect, type(self))

    # Queries

    async def fetch_all(self, query: Any) -> list[Any]:
        """Return every row of *query*, in server order."""
        bound = self._compile(query)
        names, rows = await self._send(bound, self.driver.fetch)
        return bound.plan.layout_for(names).all(rows) if rows else []

    async def fetch_one(self, query: Any) -> Any:
        """Return the first row of *query*, or None."""
        bound = self._compile(query)
        names, rows = await self._send(bound, self.driver.fetch_first)
        return bound.plan.layout_for(names).row(rows[0]) if rows else None

    async def fetch_val(self, query: Any, column: Any = 0) -> Any:
        """Return one value of the first row of *query*, or None."""
        if type(self).fetch_one is not CommonConnection.fetch_one or "fetch_one" in self.__dict__:
            # A program's own: what it does to a row, it does to the value.
            row = await self.fetch_one(query)
            return None if row is None else row[column]
        bound = self._compile(query)
        names, rows = await self._send(bound, self.driver.fetch_first)
        return bound.plan.layout_for(names).value(rows[0], column) if rows else None

    async def execute(self, query: Any) -> Any:
        """Run *query*; return its key, row count or value (see the queries page)."""
        bound = self._compile(query)
        outcome = await self._send(bound, self.driver.execute, bound.plan)
        return self._result(bound, outcome)

    async def run(self, query: Any) -> Result:
        """Run *query*; return all that is known of what it did."""
        bound = self._compile(query)
        fetched, outcome = Fetched((), ()), Outcome()
        if bound.plan.returns_rows:
            fetched = await self._send(bound, self.driver.fetch)
        else:
            outcome = await self._send(bound, self.driver.execute, bound.plan)
        return result_of(bound, fetched, outcome)

    async def execute_many(
        self,
        queries: Any,
        rows: Iterable[Mapping[str, Any]] = (),
        told: Callable[[BoundStatement], object] | None = None,
    ) -> None:
        """Run one statement per row, all or none of them.

        *queries* is a query with *rows* of values, or a list of clauses.
        *told* is called with a statement before it runs.
        """
        work: Iterator[Any]
        if isinstance(queries, (list, tuple)) and not isinstance(queries, Query):
            work = iter([(bound, [bound.args or ()]) for bound in map(self._compile, queries)])
        else:
            work = self._statements.bind_many(queries, rows, told)
        # Bound as it is sent, so that memory does not grow with the rows.
        first, second = next(work, None), next(work, None)
        if first is None:
            return
        raw = self._prepared(first[0])
        if raw is None:
            raw = await self._settled(first[0])
        try:
            driver = self.driver
            if second is None and driver.bulk_is_atomic and not driver.in_transaction(raw):
                await driver.execute_many(raw, first[0].sql, first[1])
            else:
                more = () if second is None else (second,)
                await self._run_many(raw, chain((first,), more, work))
        except BaseException as error:
            if not self._note(error, first[0]) or not isinstance(rows, (list, tuple)):
                raise
            await self.execute_many(queries, rows, told)

    async def iterate(self, query: Any) -> AsyncGenerator[Any, None]:
        """Yield the rows of *query* one by one as the server sends them."""
        async for records in self.batches(query):
            for record in records:
                yield record

    async def batches(self, query: Any, lock: Any = None) -> AsyncGenerator[list[Any], None]:
        """Yield the rows of *query* in lists; *lock* is held while the driver works."""
        bound = self._compile(query)
        async with lock or _NO_LOCK:
            stream = await self._open_stream(bound)
        layout: Layout | None = None
        try:
            while True:
                async with lock or _NO_LOCK:
                    try:
                        rows = await stream.fetch(BATCH_SIZE)
                    except BaseException as error:
                        if not stream.is_in_memory:
                            self._note(error)
                        raise
                if not rows:
                    break
                layout = layout or bound.plan.layout_for(stream.names)
                yield layout.all(rows)
            await stream.finish()
        finally:
            stream.close()

    def transaction(self) -> TransactionBackend:
        """Return a transaction on this connection, not started yet."""
        raise NotImplementedError

    def _compile(self, query: Any) -> BoundStatement:
        return self._statements.bind(query)

    def _prepared(self, bound: BoundStatement) -> Any:
        """Return the raw connection, or None when something is to be settled first."""
        slot = self._slot
        if slot is None or self._is_troubled:
            return None
        if not bound.plan.is_session_neutral:
            slot.changed += 1
        return self._connection

    async def _settled(self, bound: BoundStatement) -> Any:
        """Settle what is to be settled, and return the raw connection for *bound*."""
        await self._settle()
        return self._prepared(bound)

    async def _open_stream(self, bound: BoundStatement) -> OpenStream:
        raw = self._prepared(bound)
        if raw is None:
            raw = await self._settled(bound)
        stream = OpenStream(self, raw)
        try:
            await stream.open(bound)
        except BaseException as error:
            stream.close()
            if self._note(error, bound):
                return await self._open_stream(bound)
            raise
        return stream

    async def _send(
        self, bound: BoundStatement, verb: Callable[..., Awaitable[Any]], *more: Any
    ) -> Any:
        """Run *bound* by *verb* of the driver, on a connection that is ready."""
        raw = self._prepared(bound)
        if raw is None:
            raw = await self._settled(bound)
        try:
            return await verb(raw, bound[0], bound[1], *more)
        except BaseException as error:
            if self._note(error, bound):
                return await self._send(bound, verb, *more)
            raise

    def _result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        """Return what `execute` owes its caller."""
        plan = bound.plan
        if plan.kind is Kind.SELECT and not self.selects_value:
            return self._other_result(bound, outcome)
        if outcome.row is not None and plan.returns_rows:
            if not outcome.names:
                return None
            return plan.layout_for(outcome.names).value(outcome.row, 0)
        if plan.kind is Kind.INSERT:
            if plan.returns_rows:
                return None
            return self._inserted_key(bound, outcome)
        if plan.kind is Kind.UPDATE:
            return None if plan.returns_rows else outcome.row_count
        return self._other_result(bound, outcome)

    def _inserted_key(self, bound: BoundStatement, outcome: Outcome) -> Any:
        # Where nothing was inserted, there is no key either.
        if bound.key is not None and outcome.row_count != 0:
            return bound.key
        return outcome.last_id or outcome.row_count

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return outcome.row_count

    async def _run_many(self, raw: RawConnection, work: Iterable[Any]) -> None:
        driver = self.driver
        is_root = not driver.in_transaction(raw)
        if is_root:
            await driver.begin(raw, {})
        else:
            await driver.run(raw, "SAVEPOINT databases_execute_many")
        try:
            for bound, rows in work:
                self._prepared(bound)
                await driver.execute_many(raw, bound.sql, rows)
        except Exception:
            if not driver.is_usable(raw):
                pass  # it is parted with, and the server rolls back
            elif is_root:
                await driver.rollback(raw)
            else:
                await driver.run(raw, "ROLLBACK TO SAVEPOINT databases_execute_many")
            raise
        except BaseException:  # before the next statement, if the connection has one
            self._owe("ROLLBACK" if is_root else "ROLLBACK TO SAVEPOINT databases_execute_many")
            raise
        if is_root:
            await driver.commit(raw)
        else:
            await driver.run(raw, "RELEASE SAVEPOINT databases_execute_many")


class _NoLock:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exception: object) -> None:
        return None


_NO_LOCK = _NoLock()


def statements_of(dialect: Dialect, cls: type[CommonConnection]) -> Statements:
    """Return the statements of *dialect*, shared by all connections that use it."""
    statements: Statements | None = dialect.__dict__.get("_databases_statements")
    if statements is None:
        statements = Statements(dialect, style=cls.style, syntax=cls.syntax)
        dialect.__dict__["_databases_statements"] = statements
    return statements
