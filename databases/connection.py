"""Connection: what a task holds; counts its uses and keeps its transactions in order."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from databases.backends.common.backend import CommonConnection
from databases.backends.common.bulk import ROWS
from databases.backends.common.expressions import as_clause
from databases.backends.common.outcomes import run_by_verbs
from databases.backends.common.statements import Query
from databases.backends.common.transaction import CommonTransaction
from databases.errors import ConnectionStateError
from databases.events import logger
from databases.handed import is_ours, prepared
from databases.hooks import settle, start_hooks
from databases.interfaces import ConnectionBackend, DatabaseBackend, Record
from databases.limits import limited, running_loop
from databases.listeners import Operation, WatchedStream
from databases.queries import Queries
from databases.schema import run_sync
from databases.stack import Stack
from databases.transactions import Run, RunState, Transaction
from databases.turns import Turn

if TYPE_CHECKING:
    from databases.core import Database

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self

__all__ = ["Connection"]

P = ParamSpec("P")
T = TypeVar("T")


class Connection(Queries):
    """The connection of one task, or one that was handed to several.

    ``async with`` is counted: the driver's connection is acquired at the first
    entry and released at the last exit. Queries of several tasks take turns.
    """

    def __init__(self, database: Database, backend: DatabaseBackend) -> None:
        self._database = database
        self._backend = backend
        # The backend's connection: read, and its acquire() patched, by programs.
        self._connection: ConnectionBackend = backend.connection()
        self._entering = Turn()
        self._is_acquired = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving: set[asyncio.Future[None]] = set()
        self._cleaning: asyncio.Task[None] | None = None
        self._connection_counter = 0
        self._acquired_at: float | None = None  # known while somebody listens
        self._stack = Stack()
        self._query_lock = Turn(self._stack.check_mine)

    async def __aenter__(self) -> Self:
        if self._is_acquired:
            self._connection_counter += 1
            return self
        if not self._entering.take_now():
            await self._entering.take()
        with self._entering:
            self._connection_counter += 1
            try:
                if not self._is_acquired:
                    if self._cleaning is not None:
                        await asyncio.wait({self._cleaning})
                    if self._database._streams.sources:
                        await self._database._make_room()
                    listeners = self._database._listeners
                    if listeners is None:
                        await self._connection.acquire()
                    else:
                        await listeners.acquire(self)
                    self._is_acquired = True
            except BaseException:
                self._leave()
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._connection_counter == 0:
            raise ConnectionStateError("Connection is not acquired; enter it before leaving it")
        # No lock: release of a backend of ours never waits, so nothing can
        # come between, and a cancelled task cannot leave its connection behind.
        if self._leave():
            await self._release()

    def _leave(self) -> bool:
        """Count one exit; tell whether it was the last one."""
        self._connection_counter -= 1
        if self._connection_counter:
            return False
        self._is_acquired = False
        self._database._connection_released(self)
        return True

    async def _release(self) -> None:
        self._stack.runs.clear()
        if self._database._listeners is not None:
            self._database._listeners.released(self)
        if self._cleaning is None:
            await self._connection.release()
        else:  # when that is done
            lease: Any = self._connection
            lease.returns_after(self._cleaning)

    async def _run(
        self, timeout: float | None, verb: str, query: Any, values: Any, *args: Any
    ) -> Any:
        """Enter, take the turn and run *verb*; quickly if there is nothing to wait for."""
        backend = self._connection
        query = prepared(backend, query, values)
        if verb == "run" and not (isinstance(query, Query) and is_ours(backend, verb)):
            run = partial(run_by_verbs, backend)
        else:
            run = getattr(backend, verb)
        listeners = self._database._listeners
        if listeners is not None:
            run = partial(listeners.query, self, run)
        if (
            timeout is None
            and self._is_acquired
            and not self._stack.cut_off
            and self._query_lock.take_now()
        ):
            self._connection_counter += 1
            try:
                return await run(query, *args)
            finally:
                self._query_lock.give()
                if self._leave():
                    await self._release()
        async with limited(timeout), self, self._query_lock:
            return await run(query, *args)

    async def _call(self, verb: str, sql: str, args: Any, **known: Any) -> Any:
        """Enter, take the turn and run *sql* for SQLAlchemy's synchronous side."""
        async with self, self._query_lock:
            run = partial(getattr(self._connection, verb), sql, args, **known)
            listeners = self._database._listeners
            if listeners is not None:
                return await listeners.call(self, sql, args, run, is_many=verb == "call_many")
            return await run()

    # Queries

    _build_query = staticmethod(as_clause)  # called by programs

    def _runner(self, verb: str, timeout: float | None) -> Callable[..., Awaitable[Any]]:
        if verb == "execute_many":
            return partial(self._execute_many, timeout)
        return partial(self._run, timeout, verb)

    async def _execute_many(
        self,
        timeout: float | None,
        query: sa.ClauseElement | str,
        values: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]] | None,
    ) -> None:
        if values is None or (isinstance(values, Sized) and not values):
            return
        async with limited(timeout), self:
            if isinstance(values, AsyncIterable):
                await self._execute_chunks(query, values)
            else:
                await self._execute_rows(query, values)

    async def _execute_rows(
        self, query: sa.ClauseElement | str, rows: Iterable[Mapping[str, Any]]
    ) -> None:
        backend = self._connection
        listeners = self._database._listeners
        async with self._query_lock:
            if listeners is not None:
                ours = is_ours(backend, "execute_many")
                await listeners.query_many(self, query, rows, is_ours=ours)
            elif is_ours(backend, "execute_many"):
                with_rows: Any = backend.execute_many  # ours takes rows
                await with_rows(query, rows)
            elif clauses := [as_clause(query, each) for each in rows]:
                await backend.execute_many(clauses)

    async def _execute_chunks(
        self, query: sa.ClauseElement | str, rows: AsyncIterable[Mapping[str, Any]]
    ) -> None:
        # No turn is held while a row is awaited: it may come from a query on
        # this very connection.
        # No generator of ours in between, either: a coroutine that is closed
        # leaves those it waits for half closed, before Python 3.13.
        async with self.transaction():
            chunk: list[Mapping[str, Any]] = []
            async for row in rows:
                chunk.append(row)
                if len(chunk) == ROWS:
                    await self._execute_rows(query, chunk)
                    chunk = []
            if chunk:
                await self._execute_rows(query, chunk)

    async def _batches(
        self, query: sa.ClauseElement | str, values: Mapping[str, Any] | None, timeout: float | None
    ) -> AsyncGenerator[Sequence[Record], None]:
        backend = self._connection
        listeners = self._database._listeners
        async with self:
            if isinstance(backend, CommonConnection) and is_ours(backend, "iterate"):
                # Closed here and now: left to the collector, an abandoned inner
                # generator would end some steps of the loop after this one.
                make: Any = partial(backend.batches, lock=self._query_lock)
                asked = Query(query, values)
                batches = (
                    make(asked)
                    if listeners is None
                    else WatchedStream(listeners, self, asked, make)
                )
                try:
                    async with aclosing(batches):
                        while True:
                            async with limited(timeout):
                                batch = await anext(batches, None)
                            if batch is None:
                                break
                            yield batch
                finally:
                    self._clean_up_soon()
            else:
                clause: Any = as_clause(query, values)
                async with self.transaction():
                    if listeners is None:
                        async for record in backend.iterate(clause):
                            yield (record,)
                        return
                    make = backend.iterate
                    async with aclosing(WatchedStream(listeners, self, clause, make)) as records:
                        async for record in records:
                            yield (record,)

    async def run_sync(
        self,
        function: Callable[Concatenate[sa.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *function* returns, called with a ``sqlalchemy.Connection``.

        See `Database.run_sync`.
        """
        async with self:
            return await run_sync(self, {}, lambda sync: function(sync, *args, **kwargs))

    def transaction(self, *, force_rollback: bool = False, **kwargs: Any) -> Transaction:
        """Return a transaction on this connection; options as `Database.transaction`."""
        return Transaction(lambda: self, force_rollback, **kwargs)

    @property
    def raw_connection(self) -> Any:
        """The driver's own connection object."""
        return self._connection.raw_connection

    # What begins and ends on this connection

    @property
    def _transaction_stack(self) -> list[Transaction]:
        # Read by programs: what runs on this connection, the outermost first.
        return self._stack.recipes

    async def _begin(self, recipe: Transaction) -> Run:
        run, stack = Run(self, recipe, self._connection.transaction()), self._stack
        stack.check_mine()
        if not stack.push_now(run):
            await stack.push(run)
        is_root = stack.runs[0] is run
        try:
            if not is_root:
                stack.check_options(run)
            if not self._query_lock.take_now():
                await self._query_lock.take()
            with self._query_lock:
                stack.check_around(run)
                await self._heard(run, "begin", run.backend.start(is_root, run.options))
                if isinstance(run.backend, CommonTransaction):
                    run.backend.started()
                stack.check_around(run)
        except BaseException as error:
            is_cut_off = run not in stack.runs
            if isinstance(run.backend, CommonTransaction) and not is_cut_off:
                run.backend.failed()
            stack.pop(run)
            if is_cut_off and isinstance(error, Exception):
                raise stack.is_over() from error
            raise
        run.state = RunState.OPEN
        self._loop = asyncio.get_running_loop()
        return run

    async def _end(self, run: Run, *, commit: bool) -> None:
        if not self._query_lock.take_now():
            try:
                await self._query_lock.take()
            except BaseException:
                await self._abandon(run)
                raise
        inner: list[Run] = []
        is_kept = False
        try:
            self._stack.check_open(run, "commit" if commit else "roll back")
            inner = self._stack.inside(run)
            run.state = RunState.ENDING
            # The others wait for the turn to begin.
            left = [*(each for each in reversed(inner) if each.is_open), run]
            try:
                while left:
                    each = left.pop(0)
                    await self._ending(each, commit=commit and each is run)
            except BaseException:
                await self._give_up(left)
                raise
            is_kept = commit
        finally:
            self._query_lock.give()
            if run.state is RunState.ENDING:
                if run.hooks or inner:
                    settle(self._stack.runs, run, is_kept=is_kept)
                self._stack.pop(run)

    def _ending(self, run: Run, *, commit: bool) -> Awaitable[None]:
        if commit:
            return self._heard(run, "commit", run.backend.commit())
        return self._heard(run, "rollback", run.backend.rollback())

    def _heard(self, run: Run, what: Operation, work: Awaitable[None]) -> Awaitable[None]:
        """Return *work*, and have those that listen hear of it."""
        listeners = self._database._listeners
        if listeners is None:
            return work
        return listeners.transaction(self, what, self._stack.depth_of(run), work)

    async def _abandon(self, run: Run) -> None:
        if run not in self._stack.runs or run.state is RunState.ENDING:
            return
        try:
            inner = self._stack.inside(run)
            await self._give_up([each for each in (*reversed(inner), run) if each.is_open])
            lose = getattr(self._connection, "_lose", None)
            if lose is not None and any(each.state is RunState.STARTING for each in inner):
                lose("what was being begun inside was given up")  # it may be on its way
        finally:
            settle(self._stack.runs, run, is_kept=False)
            self._stack.pop(run)
            self._clean_up_soon()

    async def _give_up(self, runs: list[Run]) -> None:
        """Roll *runs* back, the innermost first; of ours, nothing is waited for."""
        for each in runs:
            abandon: Callable[[], None] | None = getattr(each.backend, "abandon", None)
            if abandon is None:
                await self._ending(each, commit=False)
                continue
            abandon()
            listeners = self._database._listeners
            if listeners is not None:
                listeners.ended(self, "rollback", self._stack.depth_of(each))

    def _clean_up_soon(self, uses: int = 1) -> None:
        """Have the server end what was given up, though the connection is held on and idle.

        *uses* are those that are about to end.
        """
        held_on = self._connection_counter > uses and not self._stack.runs
        owes = held_on and getattr(self._connection, "_owed", None)
        if owes and self._cleaning is None and running_loop() is not None:
            self._cleaning = contextvars.Context().run(asyncio.ensure_future, self._clean_up())
            self._cleaning.add_done_callback(self._cleaned)

    async def _clean_up(self) -> None:
        async with self._query_lock:
            await self._connection.clean_up()  # type: ignore[attr-defined]  # only ours owes

    def _note_who_waits(self) -> None:
        """Tell the pool if who began a transaction here waits for this task, as in `wait_for`."""
        slot = getattr(self._connection, "_slot", None)
        if slot is not None and self._stack.has_ancestor():
            slot.is_awaiting = True

    def _cleaned(self, _: object) -> None:
        self._cleaning = None
        if self._is_acquired:
            self._clean_up_soon(uses=0)  # what was given up meanwhile
        else:  # released meanwhile; ours does not wait for anything
            with contextlib.suppress(StopIteration):
                self._connection.release().__await__().send(None)

    def _forsake(self, run: Run) -> None:
        """Roll *run* back because nobody can end it any more; called by the collector."""
        is_over = run.state is not RunState.OPEN and run not in self._stack.cut_off
        if is_over or self._loop is None or self._loop.is_closed():
            return
        logger.warning(
            "a transaction was begun and forgotten, and is rolled back; "
            "keep the Transaction object until you commit() or rollback()"
        )
        if running_loop() is self._loop and getattr(self._connection, "_has_pool_slot", False):
            # Nothing waits in here, so the very next statement of this task
            # is outside the transaction already.
            with contextlib.suppress(StopIteration):
                self._leave_forsaken(run).send(None)
        else:
            self._loop.call_soon_threadsafe(self._start_leaving, run)

    async def _leave_forsaken(self, run: Run) -> None:
        self._stack.leave(run)
        await self._abandon(run)
        await self.__aexit__()
        start_hooks(run)

    def _start_leaving(self, run: Run) -> None:
        task = asyncio.ensure_future(self._leave_forsaken(run))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
