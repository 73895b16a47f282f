"""Transactions: the recipe that programs hold, and what is running because of it."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import functools
import weakref
from collections.abc import Callable, Generator, MutableMapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from databases.errors import TransactionStateError
from databases.events import logger
from databases.hooks import Hook, add_hook, run_hooks
from databases.interfaces import TransactionBackend
from databases.limits import deadline

if TYPE_CHECKING:
    from types import TracebackType

    from databases.connection import Connection

__all__ = ["Run", "RunState", "Transaction", "ancestors", "current_task"]

Function = TypeVar("Function", bound=Callable[..., Any])
Running = MutableMapping["Transaction", TransactionBackend]

_ACTIVE_TRANSACTIONS: contextvars.ContextVar[Running | None] = contextvars.ContextVar(
    "databases:active_transactions", default=None
)


class RunState(enum.Enum):
    """Where a begun transaction is."""

    STARTING = "starting"  # on the stack, BEGIN not answered yet
    OPEN = "open"
    ENDING = "ending"  # its COMMIT or ROLLBACK is on its way
    ENDED = "ended"  # committed, rolled back or lost


class Run:
    """One transaction that was begun."""

    __slots__ = (
        "__weakref__",
        "backend",
        "connection",
        "hooks",
        "is_block",
        "is_left",
        "is_shared",
        "limit",
        "options",
        "recipe",
        "state",
        "task",
    )

    def __init__(
        self, connection: Connection, recipe: Transaction, backend: TransactionBackend
    ) -> None:
        self.connection = connection
        # Weak: a recipe that nobody holds can end nothing; see Transaction.__del__.
        self.recipe = weakref.ref(recipe)
        self.backend = backend
        self.options = recipe._extra_options
        self.state = RunState.STARTING
        self.limit: AsyncExitStack | None = None
        self.is_shared = False
        """Whether every task's transactions go inside: force_rollback's own."""
        self.is_block = False
        """Whether ``async with`` began it, and will leave it."""
        self.is_left = False
        """Whether it has given back the connection it entered when it began."""
        self.hooks: list[Hook] | None = None
        """What waits for its end; once it has ended, what is due."""
        task = current_task()
        self.task = None if task is None else weakref.ref(task)

    @property
    def has_orphaned(self) -> bool:
        """Whether the task that began it has ended."""
        task = None if self.task is None else self.task()
        return task is None or task.done()

    @property
    def is_open(self) -> bool:
        """Whether it has begun, and nothing has begun to end it."""
        return self.state is RunState.OPEN

    def is_around(self, task: asyncio.Task[Any] | None, inherited: frozenset[int]) -> bool:
        """Tell whether what *task* begins on the same connection belongs inside."""
        return (
            id(self.backend) in inherited
            or (self.task is not None and task is not None and self.task() is task)
            or (self.is_open and self.has_orphaned)
        )


class Transaction:
    """A reusable recipe for transactions: context manager, decorator or by hand.

    One object may serve many tasks at once; each use begins a transaction of
    its own on the connection of the current task.
    """

    def __init__(
        self,
        connection_callable: Callable[[], Connection],
        force_rollback: bool,  # noqa: FBT001  # programs pass it by position
        *,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> None:
        self._timeout = timeout
        self._connection_callable = connection_callable
        self._force_rollback = force_rollback
        self._extra_options = kwargs
        self._runs: list[Run] = []
        self._ended_in_block: list[Run] = []
        """What was committed or rolled back by hand; its block is still to be left."""

    @property
    def _connection(self) -> Connection:
        # Read by programs.
        return self._connection_callable()

    @property
    def _transaction(self) -> TransactionBackend | None:
        # Read by programs: what runs in the current context because of this recipe.
        running = _ACTIVE_TRANSACTIONS.get()
        return None if running is None else running.get(self)

    def __del__(self) -> None:
        # Begun, and then forgotten: nobody is left who could end it, and what
        # is done later would be done inside it and lost.
        for run in self.__dict__.get("_runs", ()):
            run.connection._forsake(run)

    async def __aenter__(self) -> Transaction:
        begun = self._begun_here()
        # Begun by hand a moment ago: ``async with await database.transaction()``.
        run = None if begun is None or begun.is_block else begun
        begin = self._begin if self._is_own("start") else self._begin_as_replaced
        if self._timeout is None:
            run = run or await begin()
        else:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(deadline(self._timeout))
                run = run or await begin()
                if run is not None:
                    run.limit = stack.pop_all()
        if run is not None:
            run.is_block = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._ended_in_block and (ended := self._take_ended()) is not None:
            if ended.limit is not None:
                await ended.limit.__aexit__(exc_type, exc_value, traceback)
            return
        if not self._runs and not self._is_own("start"):
            await (self.commit if exc_type is None else self.rollback)()
            return
        run = self._current_run("end")
        try:
            if run.limit is None:
                await self._leave(run, exc_type)
            else:
                await self._leave_in_time(run, run.limit, (exc_type, exc_value, traceback))
        except BaseException as error:
            await self._run_hooks(run, error)
            raise
        if run.hooks:
            await self._run_hooks(run, exc_value)

    async def _leave_in_time(self, run: Run, limit: AsyncExitStack, exception: Any) -> None:
        try:
            await self._leave(run, exception[0])
        except BaseException as error:
            try:
                await limit.__aexit__(type(error), error, error.__traceback__)
            except TimeoutError:
                if exception[0] is None:
                    raise
                return  # the block's own error matters more
            raise
        await limit.__aexit__(*exception)

    async def _leave(self, run: Run, exc_type: type[BaseException] | None) -> None:
        commit = exc_type is None and not self._force_rollback
        is_own = self._is_own("commit" if commit else "rollback")
        if is_own and exc_type is not None and not issubclass(exc_type, Exception):
            await self._abandon(run)
            return
        try:
            if is_own:
                await self._end(run, commit=commit, with_inner=True)
            else:
                await self._end_as_replaced(run, commit=commit)
        except Exception:
            if exc_type is None:
                raise
            # The block's own error matters more.
            logger.warning("rollback failed after %s", exc_type.__name__, exc_info=True)

    # A program may have replaced the three verbs, on an object or on the class.

    def _is_own(self, verb: str) -> bool:
        return getattr(type(self), verb) is _VERBS[verb] and verb not in self.__dict__

    async def _begin_as_replaced(self) -> Run | None:
        await self.start()
        return self._begun_here()

    async def _end_as_replaced(self, run: Run, *, commit: bool) -> None:
        run.is_block = False
        try:
            await (self.commit if commit else self.rollback)()
        finally:
            if run in self._runs:
                await self._abandon(run)

    def __await__(self) -> Generator[None, None, Transaction]:
        return self.start().__await__()

    def __call__(self, function: Function) -> Function:
        """Decorate a coroutine function: each call runs in a transaction of its own."""

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            # A fresh recipe per call, so that the function may call itself. What
            # a program has put on this object may end this object only.
            recipe = self
            if _VERBS.keys().isdisjoint(self.__dict__):
                recipe = object.__new__(type(self))
                recipe.__dict__.update(self.__dict__, _runs=[], _ended_in_block=[])
            async with recipe:
                return await function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]  # same parameters, awaited result

    async def start(self) -> Transaction:
        """Begin, unless this task has begun it already.

        A failed or cancelled call leaves nothing begun.
        """
        if self._begun_here() is None:
            await self._begin()
        return self

    async def _begin(self) -> Run:
        connection = self._connection_callable()
        await connection.__aenter__()
        try:
            run = await connection._begin(self)
        except BaseException:
            await connection.__aexit__()
            raise
        self._runs.append(run)
        self._remember(run)
        return run

    async def commit(self) -> None:
        """Keep what was done. Raises when it was not kept."""
        await self._end_by_hand(self._current_run("commit"), commit=True)

    async def rollback(self) -> None:
        """Undo what was done."""
        await self._end_by_hand(self._current_run("roll back"), commit=False)

    def on_commit(self, function: Callable[[], object]) -> None:
        """Have *function* called when what is done here has been committed for good.

        That is after the COMMIT of the outermost transaction, outside of it;
        never, if this one or one around it is rolled back. What the function
        returns is awaited where it can be. Functions run in the order they were
        given; when some raise, the others still run and `HookError` tells.
        """
        add_hook(self._current_run("wait for a commit"), "commit", function)

    def on_rollback(self, function: Callable[[], object]) -> None:
        """Have *function* called when what is done here has been undone.

        That is after the rollback of this transaction or of one around it, or
        after a COMMIT that failed. Otherwise as `on_commit`; where another
        exception is on its way, failures of functions are only logged.
        """
        add_hook(self._current_run("wait for a rollback"), "rollback", function)

    async def _end_by_hand(self, run: Run, *, commit: bool) -> None:
        try:
            await self._end(run, commit=commit)
        except BaseException as error:
            await self._run_hooks(run, error)
            raise
        finally:
            # Also after a failure, which the end of the block must not hide.
            if run.is_block and run.state is RunState.ENDED:
                run.is_block = False
                self._ended_in_block.append(run)
        if run.hooks:
            await self._run_hooks(run, None)

    async def _run_hooks(self, run: Run, error: BaseException | None) -> None:
        # An end that was refused has ended nothing.
        if run.state is RunState.ENDED:
            await run_hooks(run, error)

    async def _end(self, run: Run, *, commit: bool, with_inner: bool = False) -> None:
        connection = run.connection
        if run in connection._stack.cut_off:
            await self._abandon(run)
        connection._stack.check_open(run, "commit" if commit else "roll back")
        inner = connection._stack.inside(run)
        if inner and not with_inner:
            raise TransactionStateError(
                f"cannot {'commit' if commit else 'roll back'}: {len(inner)} inner "
                "transaction(s) are still open; end them first"
            )
        try:
            await connection._end(run, commit=commit and not inner)
        finally:
            await self._left(run)
        if inner and commit:
            raise TransactionStateError(
                f"cannot commit: {len(inner)} inner transaction(s) were still open and everything "
                "was rolled back; end them first"
            )

    async def _abandon(self, run: Run) -> None:
        """End because the task is cancelled: nothing is waited for that can wait."""
        connection = run.connection
        try:
            await connection._abandon(run)
        finally:
            await self._left(run)

    async def _left(self, run: Run) -> None:
        """Forget *run* once it has ended, and leave the connection it was on."""
        if run.state is RunState.ENDING:
            return  # another task ends it, and will be back here
        run.connection._stack.leave(run)
        self._forget(run)
        if not run.is_left:
            run.is_left = True
            await run.connection.__aexit__()

    def _current_run(self, verb: str) -> Run:
        """Return what runs in this context, or else the only thing that runs."""
        backend = self._transaction
        for run in self._runs:
            if run.backend is backend:
                return run
        if len(self._runs) == 1:
            return self._runs[0]
        so = "was not started or has ended" if not self._runs else "runs in several other tasks"
        raise TransactionStateError(f"cannot {verb}: the transaction {so}; start it in this task")

    def _begun_here(self) -> Run | None:
        """Return what runs because this task began it; of several, the innermost."""
        if self._runs:
            backend, task = self._transaction, current_task()
            for run in self._runs:
                is_mine = run.task is not None and run.task() is task
                if run.backend is backend and is_mine and run.is_open:
                    return run
        return None

    def _take_ended(self) -> Run | None:
        """Return what this block had begun, if it was ended by hand; not twice."""
        backend = self._transaction
        if any(run.backend is backend for run in self._runs):
            return None  # begun again since then
        task = current_task()
        for run in reversed(self._ended_in_block):
            if run.task is not None and run.task() is task:
                break
        else:
            if self._runs:
                return None  # that of another task, which still runs
            run = self._ended_in_block[-1]
        self._ended_in_block.remove(run)
        self._forget(run)  # here too, if another task has ended it
        return run

    def _remember(self, run: Run) -> None:
        # Copy, never mutate: a child task inherits this mapping and must not
        # see transactions that its parent starts later.
        inherited = _ACTIVE_TRANSACTIONS.get()
        running: Running = weakref.WeakKeyDictionary(inherited) if inherited else _none_yet()
        running[self] = run.backend
        _ACTIVE_TRANSACTIONS.set(running)

    def _forget(self, run: Run) -> None:
        if run in self._runs:
            self._runs.remove(run)
        running = _ACTIVE_TRANSACTIONS.get()
        if running is not None and running.get(self) is run.backend:
            if len(running) == 1:
                _ACTIVE_TRANSACTIONS.set(None)
                return
            kept = {t: b for t, b in running.items() if t is not self}
            _ACTIVE_TRANSACTIONS.set(weakref.WeakKeyDictionary(kept) if kept else None)


_VERBS = {verb: getattr(Transaction, verb) for verb in ("start", "commit", "rollback")}


def _none_yet() -> Running:
    return weakref.WeakKeyDictionary()


def ancestors() -> frozenset[int]:
    """Return the identities of the transactions that this context runs inside."""
    running = _ACTIVE_TRANSACTIONS.get()
    return frozenset(map(id, running.values())) if running else frozenset()


def current_task() -> asyncio.Task[Any] | None:
    """Return the running task, or None where there is none."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
