"""Hooks: functions that programs want called when a transaction has ended."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from databases.backends.common.cleaning import called
from databases.backends.common.pool import CLOSE_TIMEOUT
from databases.errors import HookError
from databases.events import logger
from databases.limits import running_loop

if TYPE_CHECKING:
    from databases.connection import Connection
    from databases.transactions import Run

__all__ = ["Hook", "Hooking", "add_hook", "run_hooks", "settle", "start_hooks"]

T = TypeVar("T")
Ending = Literal["commit", "rollback"]
_numbers = itertools.count()


class Hook(NamedTuple):
    """A function, and the ending that it waits for."""

    number: int
    """Hooks run in the order in which they were added, wherever that was."""
    ending: Ending
    function: Callable[[], object]


class Hooking:
    """What a database has to do with hooks."""

    _connection_map: MutableMapping[asyncio.Task[Any], Connection]
    _hook_tasks: set[asyncio.Task[Any]]

    def connection(self) -> Connection:
        """Return the connection of the current task."""
        raise NotImplementedError

    async def on_commit(self, function: Callable[[], object]) -> None:
        """Have *function* called after the commit of the transaction that this task is in.

        See `Transaction.on_commit`. In no transaction it is called, and
        awaited where it can be, at once.
        """
        run = self.connection()._stack.around_me()
        if run is None:
            await called(function)
        else:
            add_hook(run, "commit", function)

    def _act_for_me(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* in a task that shares the connection of this one."""
        me = asyncio.current_task()
        own = None if me is None else self._connection_map.get(me)

        async def act() -> T:
            acting = asyncio.current_task()
            if own is not None and acting is not None:
                # Or else it would wait for a connection that this task may hold
                # while it waits for the hooks.
                self._connection_map[acting] = own
            return await work

        task = asyncio.ensure_future(act())
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_tasks.discard)
        return task

    async def _finish_hooks(self, timeout: float | None) -> None:
        if tasks := self._hook_tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT if timeout is None else timeout)


def add_hook(run: Run, ending: Ending, function: Callable[[], object]) -> None:
    """Have *function* called when *run* has ended so."""
    if not callable(function):
        if isinstance(function, Coroutine):
            function.close()
        raise TypeError(
            f"cannot call {function!r} on_{ending}: it is no function; "
            "give the function itself, without calling it"
        )
    if run.hooks is None:
        run.hooks = []
    run.hooks.append(Hook(next(_numbers), ending, function))


def settle(runs: list[Run], run: Run, *, is_kept: bool) -> None:
    """Leave in *run* the hooks that are due now that it ends.

    What a savepoint has kept may still be undone with the transaction around
    it: its hooks, of both kinds, become that one's. *runs* is the stack with
    *run* in it.
    """
    if run not in runs:  # its connection was released before it had ended
        runs = [run]
    index = runs.index(run)
    hooks = [hook for each in runs[index:] for hook in each.hooks or ()]
    for each in runs[index:]:
        each.hooks = None
    around = runs[index - 1] if index else None
    if is_kept and around is not None and not around.is_shared:
        around.hooks = [*(around.hooks or ()), *hooks]
        return
    ending = "commit" if is_kept else "rollback"
    run.hooks = sorted(hook for hook in hooks if hook.ending == ending)


async def run_hooks(run: Run, error: BaseException | None) -> None:
    """Call the hooks that are due, and wait for them.

    *error* is what the caller is about to raise; without one, `HookError` is
    raised when a hook fails. A task that is cancelled or timed out does not
    wait: the hooks run to their end all the same.
    """
    task = start_hooks(run)
    if task is None:
        return
    is_late = isinstance(error, (TimeoutError, asyncio.TimeoutError))
    if error is not None and (is_late or not isinstance(error, Exception)):
        task.add_done_callback(_log)
        return
    try:
        failures = await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_log)
        raise
    if failures and error is None:
        for hook, other in failures[1:]:
            _log_one(hook, other)
        raise _hook_error(failures) from failures[0][1]
    _log(task)


def start_hooks(run: Run) -> asyncio.Task[list[tuple[Hook, Exception]]] | None:
    """Call the hooks that are due in a task that acts for the current one."""
    hooks, run.hooks = run.hooks, None
    if not hooks:
        return None
    if running_loop() is None:  # the collector closes a coroutine
        logger.warning("%d on_%s function(s) were not called", len(hooks), hooks[0].ending)
        return None
    return run.connection._database._act_for_me(_call_all(hooks))


async def _call_all(hooks: list[Hook]) -> list[tuple[Hook, Exception]]:
    """Call every hook; return those that failed, with what they raised."""
    failures: list[tuple[Hook, Exception]] = []
    cancelled: asyncio.CancelledError | None = None
    for hook in hooks:
        failure = await _call(hook)
        if isinstance(failure, asyncio.CancelledError):
            cancelled = failure
        elif failure is not None:
            failures.append((hook, failure))
    if cancelled is not None:
        for hook, error in failures:
            _log_one(hook, error)
        raise cancelled
    return failures


async def _call(hook: Hook) -> Exception | asyncio.CancelledError | None:
    try:
        await called(hook.function)
    except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001  # told when all have run
        return failure
    return None


def _log(task: asyncio.Task[list[tuple[Hook, Exception]]]) -> None:
    if not task.cancelled() and task.exception() is None:
        for hook, error in task.result():
            _log_one(hook, error)


def _log_one(hook: Hook, error: Exception) -> None:
    logger.error("an on_%s function failed: %r", hook.ending, hook.function, exc_info=error)


def _hook_error(failures: list[tuple[Hook, Exception]]) -> HookError:
    ending = failures[0][0].ending
    so = "committed" if ending == "commit" else "rolled back"
    errors = tuple(error for _, error in failures)
    return HookError(
        f"cannot finish the on_{ending} functions: the transaction is {so}, and "
        f"{len(errors)} of them raised {', '.join(map(repr, errors))}; "
        "do by hand what they left undone",
        errors,
    )
