"""The backend written once over a driver: connections that are lent by the pool.

`CommonConnection` is what a driver's named connection class inherits from; the
named classes exist because programs import, subclass and patch them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, ClassVar

from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common import rawsql
from databases.backends.common.driver import Driver, Outcome, RawConnection, Stream
from databases.backends.common.options import OptionTable, given_options, split_options
from databases.backends.common.plans import BoundStatement, Kind
from databases.backends.common.pool import Pool, Slot, within
from databases.backends.common.records import Layout
from databases.backends.common.statements import Query, Statements
from databases.errors import (
    ConnectionStateError,
    NotConnectedError,
    TransactionStateError,
)
from databases.interfaces import ConnectionBackend, DatabaseBackend, TransactionBackend
from databases.urls import DatabaseURL

__all__ = ["CommonBackend", "CommonConnection", "CommonTransaction"]

BATCH_SIZE = 256
"""Rows that a stream asks of the server at a time."""
CLEANUP_TIMEOUT = 5.0
"""Seconds that a rollback may take before its connection is given up."""


class CommonBackend(DatabaseBackend):
    """One database over one driver. Subclasses name the driver, the dialect and the classes."""

    driver: ClassVar[Driver]
    option_table: ClassVar[OptionTable]
    connection_class: ClassVar[type[CommonConnection]]
    pool_class: ClassVar[type[Pool]] = Pool

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        self._database_url = DatabaseURL(database_url)
        self._options = options
        self._dialect = self._get_dialect()
        self._pool: Any = None

    def _get_dialect(self) -> Dialect:
        raise NotImplementedError

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
        statements_of(self._dialect, self.connection_class).resize(options.query_cache_size)
        await pool.start()
        self._pool = pool

    def _opener(self, arguments: Mapping[str, Any], options: Any) -> Any:
        url = self._database_url

        async def open_connection() -> RawConnection:
            given = dict(arguments)
            if callable(given.get("password")) and options.connect is None:
                given["password"] = await _resolved(given["password"])
            make = self.driver.connect if options.connect is None else options.connect
            return await make(url, given)

        return open_connection

    async def disconnect(self, timeout: float | None = None) -> None:
        """Close the pool; see `Pool.shut_down` for *timeout*."""
        pool = self._pool
        if pool is None:
            raise NotConnectedError("DatabaseBackend is not running; connect() first")
        self._pool = None
        if isinstance(pool, Pool):
            await pool.shut_down(timeout)
        else:
            await _resolved(pool.close)

    def connection(self) -> CommonConnection:
        """Return a connection that is not acquired yet."""
        return self.connection_class(self, self._dialect)


class CommonConnection(ConnectionBackend):
    """One connection of a backend, holding a raw connection while it is acquired."""

    driver: ClassVar[Driver]
    style: ClassVar[rawsql.Style]
    syntax: ClassVar[rawsql.Syntax]
    returns_key: ClassVar[bool] = True
    """Whether an INSERT expression asks for the new key by RETURNING."""
    selects_value: ClassVar[bool] = False
    """Whether `execute` of a SELECT gives its first value, and not its row count."""

    def __init__(self, database: Any, dialect: Dialect) -> None:
        self._database = database
        self._dialect = dialect
        self._statements = statements_of(dialect, type(self))
        # The raw connection or None: read by programs and subclasses.
        self._connection: Any = None
        self._lender: Any = None
        self._slot: Slot | None = None
        self._depth = 0
        self._lost: str | None = None
        self._owed: list[str] = []
        self._stream: _OpenStream | None = None
        self._is_troubled = False

    # Acquiring

    async def acquire(self) -> None:
        """Take a raw connection from the pool, waiting for one if need be."""
        if self._connection is not None:
            raise ConnectionStateError("Connection is already acquired; release it first")
        pool = self._get_pool()
        if getattr(pool, "lends_slots", False):
            slot = pool.lend_now()
            if slot is None:
                slot = await pool.lend()
        else:
            slot = Slot(await pool.acquire())
        self._lender = pool
        self._slot = slot
        self._connection = slot.raw

    async def release(self) -> None:
        """Give the raw connection back. Never waits on a pool of ours."""
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        slot, lender = self._detach()
        if slot is None:
            return
        if getattr(lender, "lends_slots", False):
            lender.take_back(slot)
        else:
            await asyncio.shield(asyncio.ensure_future(_resolved(lambda: lender.release(slot.raw))))

    def _get_pool(self) -> Any:
        pool = self._database._pool
        if pool is None:
            raise NotConnectedError("DatabaseBackend is not running; connect() first")
        return pool

    def _detach(self) -> tuple[Slot | None, Any]:
        slot, lender = self._slot, self._lender
        if slot is not None and self._stream is not None and not self._stream.abandon():
            slot.in_doubt = True
        self._connection = self._slot = self._lender = self._stream = self._lost = None
        self._owed.clear()
        self._depth = 0
        self._is_troubled = False
        return slot, lender

    def __del__(self) -> None:
        # Begun and forgotten: nobody can end it any more, so the place goes
        # back. The collector may run anywhere; the pool wants its own loop.
        slot, lender = self._slot, self._lender
        loop = getattr(lender, "_loop", None)
        if slot is None or not isinstance(lender, Pool):
            return
        slot.in_doubt = True
        if loop is None or loop.is_closed():
            self.driver.terminate(slot.raw)
        else:
            loop.call_soon_threadsafe(lender.take_back, slot)

    @property
    def raw_connection(self) -> Any:
        """The driver's own connection."""
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        if self._slot is not None:
            self._slot.changed = True  # who knows what is done with it
        return self._connection

    # Queries

    async def fetch_all(self, query: Any) -> list[Any]:
        """Return every row of *query*, in server order."""
        bound = self._compile(query)
        raw = self._prepared(bound)
        if raw is None:
            raw = await self._settle()
        try:
            names, rows = await self.driver.fetch(raw, bound[0], bound[1])
        except BaseException as error:
            self._note(error)
            raise
        return bound.plan.layout_for(names).all(rows) if rows else []

    async def fetch_one(self, query: Any) -> Any:
        """Return the first row of *query*, or None."""
        bound = self._compile(query)
        names, rows = await self._first(bound)
        return bound.plan.layout_for(names).row(rows[0]) if rows else None

    async def fetch_val(self, query: Any, column: Any = 0) -> Any:
        """Return one value of the first row of *query*, or None."""
        bound = self._compile(query)
        names, rows = await self._first(bound)
        return bound.plan.layout_for(names).value(rows[0], column) if rows else None

    async def execute(self, query: Any) -> Any:
        """Run *query*; return its key, row count or value (see the queries page)."""
        bound = self._compile(query)
        raw = self._prepared(bound)
        if raw is None:
            raw = await self._settle()
        try:
            outcome = await self.driver.execute(raw, bound[0], bound[1], bound.plan)
        except BaseException as error:
            self._note(error)
            raise
        return self._result(bound, outcome)

    async def execute_many(self, queries: Any, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Run one statement per row, all or none of them.

        *queries* is a query with *rows* of values, or a list of clauses.
        """
        if isinstance(queries, (list, tuple)) and not isinstance(queries, Query):
            work = [(bound, [bound.args or ()]) for bound in map(self._compile, queries)]
        else:
            work = list(self._statements.bind_many(queries, rows))
        if not work:
            return
        raw = self._prepared(work[0][0])
        if raw is None:
            raw = await self._settle()
        try:
            await self._run_many(raw, work)
        except BaseException as error:
            self._note(error)
            raise

    async def iterate(self, query: Any) -> AsyncGenerator[Any, None]:
        """Yield the rows of *query* one by one as the server sends them."""
        async for records in self.batches(query):
            for record in records:
                yield record

    async def batches(self, query: Any, lock: Any = None) -> AsyncGenerator[list[Any], None]:
        """Yield the rows of *query* in lists; *lock* is held while the driver works."""
        bound = self._compile(query)
        async with lock or _NO_LOCK:
            raw = self._prepared(bound)
            if raw is None:
                raw = await self._settle()
            stream = _OpenStream(self, raw)
            try:
                await stream.open(bound)
            except BaseException as error:
                stream.close()
                self._note(error)
                raise
        layout: Layout | None = None
        try:
            while True:
                async with lock or _NO_LOCK:
                    try:
                        rows = await stream.fetch(BATCH_SIZE)
                    except BaseException as error:
                        self._note(error)
                        raise
                if not rows:
                    break
                layout = layout or bound.plan.layout_for(stream.names)
                yield layout.all(rows)
            await stream.finish()
        finally:
            stream.close()

    async def spool(self) -> None:
        """Read what is left of an open stream into memory, to free the connection."""
        if self._stream is not None:
            await self._stream.spool()

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
        if not slot.changed and not bound.plan.is_session_neutral:
            slot.changed = True
        return self._connection

    async def _first(self, bound: BoundStatement) -> Any:
        raw = self._prepared(bound)
        if raw is None:
            raw = await self._settle()
        try:
            return await self.driver.fetch_first(raw, bound[0], bound[1])
        except BaseException as error:
            self._note(error)
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
        if bound.key is not None:
            return bound.key
        return outcome.last_id or outcome.row_count

    def _other_result(self, bound: BoundStatement, outcome: Outcome) -> Any:
        return outcome.row_count

    async def _run_many(self, raw: RawConnection, work: list[Any]) -> None:
        driver = self.driver
        is_root = not driver.in_transaction(raw)
        if is_root:
            await driver.begin(raw, {})
        else:
            await driver.run(raw, "SAVEPOINT databases_execute_many")
        try:
            for bound, rows in work:
                await driver.execute_many(raw, bound.sql, rows)
        except Exception:
            if is_root:
                await driver.rollback(raw)
            else:
                await driver.run(raw, "ROLLBACK TO SAVEPOINT databases_execute_many")
            raise
        if is_root:
            await driver.commit(raw)
        else:
            await driver.run(raw, "RELEASE SAVEPOINT databases_execute_many")

    # Trouble: what a failed or cancelled statement leaves behind

    def _note(self, error: BaseException) -> None:
        """Record what *error* means for the connection; called where it was raised."""
        slot = self._slot
        if slot is None:
            return
        driver = self.driver
        if not driver.is_clean(error) or not driver.is_usable(slot.raw):
            if driver.can_recover(slot.raw):
                slot.in_doubt = self._is_troubled = True
                driver.interrupt(slot.raw)
            else:
                self._lose(f"it was interrupted by {type(error).__name__}")
        elif self._depth and driver.lost_transaction(slot.raw, error):
            self._lose(f"the server ended the transaction ({type(error).__name__})")

    def _lose(self, reason: str) -> None:
        """Part with the raw connection; the server rolls back what was open on it."""
        slot, self._slot = self._slot, None
        self._is_troubled = True
        self._owed.clear()
        if self._depth:
            self._lost = reason
        if slot is not None and getattr(self._lender, "lends_slots", False):
            self._lender.discard(slot)
        elif slot is not None:
            self.driver.terminate(slot.raw)

    async def _settle(self) -> RawConnection:
        """Make the connection ready again after trouble, or say why it cannot be."""
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        if self._lost is not None:
            raise TransactionStateError(
                f"cannot run a query: the transaction is lost, {self._lost}; roll it back"
            )
        if self._slot is None:
            self._connection = None
            await CommonConnection.acquire(self)
        slot = self._slot
        assert slot is not None
        try:
            if slot.in_doubt:
                await self.driver.recover(slot.raw)
                slot.changed = True
                if self._depth and not self.driver.in_transaction(slot.raw):
                    self._lose("the server ended it when a statement was interrupted")
                    return await self._settle()
            await self.spool()
            while self._owed:
                await self.driver.run(slot.raw, self._owed[0])
                self._owed.pop(0)
        except BaseException as error:
            if self._slot is not None:
                self._lose(f"its connection failed ({type(error).__name__})")
            raise
        slot.in_doubt = self._is_troubled = False
        slot.changed = True
        return self._connection

    # Transactions: the verbs of CommonTransaction

    async def begin(self, *, is_root: bool, options: Mapping[str, Any]) -> str | None:
        """Begin a transaction or a savepoint; return the savepoint's name."""
        raw = self._connection if not self._is_troubled else await self._settle()
        if raw is None:
            raw = await self._settle()
        if is_root:
            self._depth += 1
            try:
                await self.driver.begin(raw, options)
            except BaseException as error:
                self._depth -= 1
                self._note(error)
                if self._slot is not None and self._is_troubled:
                    self._owed.insert(0, "ROLLBACK")
                raise
            return None
        name = f"databases_savepoint_{self._depth + 1}"
        await self._run(f"SAVEPOINT {name}")
        self._depth += 1
        return name

    async def commit(self, savepoint: str | None) -> None:
        """End with what was done kept. Raises when it was not, and then it was not."""
        self._depth -= 1
        if self._lost is not None:
            reason = self._lost
            self._leave_lost()
            raise TransactionStateError(
                f"cannot commit: the transaction is lost, {reason}; run it again"
            )
        if self._is_troubled:
            self._depth += 1
            try:
                await self._settle()
            finally:
                self._depth -= 1
                self._leave_lost()
        if savepoint is not None:
            await self._run(f"RELEASE SAVEPOINT {savepoint}")
            return
        try:
            await self.driver.commit(self._connection)
        except BaseException as error:
            # Committed or not, nobody knows: such a connection never goes back.
            self._lose(f"COMMIT failed ({type(error).__name__})")
            raise

    async def rollback(self, savepoint: str | None) -> None:
        """End with what was done undone."""
        self._depth -= 1
        if self._lost is not None:
            self._leave_lost()
            return
        if savepoint is not None:
            self._owe(f"ROLLBACK TO SAVEPOINT {savepoint}")
            await self._settle()
            return
        slot = self._slot
        self._owed.clear()
        if slot is None:
            return
        if self._stream is not None and not self._stream.abandon():
            self._lose("a stream was left open")
            return
        try:
            await self._roll_back(slot)
        except BaseException as error:
            self._lose(f"ROLLBACK failed ({type(error).__name__})")
            raise

    def abandon(self, savepoint: str | None) -> None:
        """Roll back without waiting: before the next statement, or in the pool."""
        self._depth -= 1
        if self._lost is not None:
            self._leave_lost()
        elif savepoint is not None:
            self._owe(f"ROLLBACK TO SAVEPOINT {savepoint}")
        else:
            self._owed.clear()
            self._owe("ROLLBACK", only=self._slot is not None)

    async def _roll_back(self, slot: Slot) -> None:
        if slot.in_doubt:
            await self.driver.recover(slot.raw)
        failure: list[BaseException] = []

        async def roll_back() -> None:
            try:
                await self.driver.rollback(slot.raw)
            except Exception as error:
                failure.append(error)
                raise

        if not await within(CLEANUP_TIMEOUT, roll_back()):
            raise failure[0] if failure else TimeoutError("cannot roll back: no answer in time")
        if self._stream is None:
            slot.in_doubt = self._is_troubled = False

    def _owe(self, sql: str, *, only: bool = True) -> None:
        if only:
            self._owed.append(sql)
            self._is_troubled = True

    def _leave_lost(self) -> None:
        # Outside the lost transaction the connection may be replaced.
        if not self._depth:
            self._lost = None

    async def _run(self, sql: str) -> None:
        raw = await self._settle() if self._is_troubled else self._connection
        try:
            await self.driver.run(raw, sql)
        except BaseException as error:
            self._note(error)
            raise


class CommonTransaction(TransactionBackend):
    """One transaction or savepoint on a `CommonConnection`."""

    def __init__(self, connection: CommonConnection) -> None:
        self._connection = connection
        self._savepoint: str | None = None

    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:
        """Begin; *extra_options* as `Database.transaction` takes them."""
        if self._connection._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        self._savepoint = await self._connection.begin(is_root=is_root, options=extra_options)

    async def commit(self) -> None:
        """Keep what was done. Raises when the server rolled back instead."""
        await self._connection.commit(self._savepoint)

    async def rollback(self) -> None:
        """Undo what was done."""
        await self._connection.rollback(self._savepoint)

    def abandon(self) -> None:
        """Undo what was done, without waiting for it."""
        self._connection.abandon(self._savepoint)


class _OpenStream:
    """A stream on a connection, and what has to happen for others to use it."""

    def __init__(self, connection: CommonConnection, raw: RawConnection) -> None:
        self._connection = connection
        self._raw = raw
        self._stream: Stream | None = None
        self._buffer: list[Any] | None = None
        self._owns_transaction = False
        self._is_closed = False
        self.names: Any = ()

    async def open(self, bound: BoundStatement) -> None:
        """Send the statement, inside a transaction of its own where it needs one."""
        connection, driver = self._connection, self._connection.driver
        if driver.streams_in_transaction and not driver.in_transaction(self._raw):
            self._owns_transaction = True
            await driver.begin(self._raw, {})
        if self._owns_transaction or not driver.interleaves:
            connection._stream = self
            connection._is_troubled = True  # the next statement settles first
        self._stream = await driver.stream(self._raw, bound.sql, bound.args)

    async def fetch(self, size: int) -> Any:
        """Return the next rows, none at the end."""
        if self._buffer is not None:
            rows, self._buffer = self._buffer[:size], self._buffer[size:]
            return rows
        stream = self._stream
        if stream is None or self._connection._connection is not self._raw:
            raise ConnectionStateError(
                "cannot read on: the stream's connection was released or lost; query again"
            )
        rows = await stream.fetch(size)
        self.names = stream.names
        return rows

    async def finish(self) -> None:
        """End well, after the last row."""
        self._stream = None
        if self._owns_transaction:
            self._owns_transaction = False
            await self._connection.driver.commit(self._raw)
        self._detach()

    async def spool(self) -> None:
        """Read the rest into memory."""
        if self._stream is None:
            return
        rest: list[Any] = []
        while rows := await self._stream.fetch(10 * BATCH_SIZE):
            if not self._is_closed:
                rest.extend(rows)
        self.names = self._stream.names
        self._buffer = rest
        await self.finish()

    def abandon(self) -> bool:
        """Give the rest up; tell whether the connection can go on as it is."""
        stream, self._stream = self._stream, None
        goes_on = True if stream is None else stream.abandon()
        return goes_on and not self._owns_transaction

    def close(self) -> None:
        """End at any time, without waiting."""
        connection = self._connection
        slot = connection._slot
        self._is_closed = True
        if self._stream is None or slot is None or slot.raw is not self._raw:
            if self._owns_transaction and slot is not None:
                connection._owe("ROLLBACK")
            self._detach()
        elif self._owns_transaction:
            self.abandon()
            connection._owe("ROLLBACK")
            self._detach()
        elif connection.driver.interleaves:
            self.abandon()
            self._detach()
        # Otherwise the rows that are left stand in the way of the next
        # statement, which reads them first: see CommonConnection._settle.

    def _detach(self) -> None:
        if self._connection._stream is self:
            self._connection._stream = None


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
        statements = Statements(
            dialect, style=cls.style, syntax=cls.syntax, returns_key=cls.returns_key
        )
        dialect.__dict__["_databases_statements"] = statements
    return statements


async def _resolved(function: Any) -> Any:
    """Call *function* and await what it returns, if it can be awaited."""
    result = function()
    return await result if hasattr(result, "__await__") else result
