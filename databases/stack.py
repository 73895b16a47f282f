"""Stack: the transactions of one connection, the outermost first, and who waits to begin."""

from __future__ import annotations

import asyncio
from collections import deque

from databases.backends.common.waiting import WARN_AFTER
from databases.errors import ConfigurationError, NotConnectedError, TransactionStateError
from databases.events import logger
from databases.transactions import Run, RunState, Transaction, ancestors, current_task

__all__ = ["Stack"]


class Stack:
    """The transactions that run on a connection: last in, first out.

    One that belongs beside the innermost, not inside it, waits for its turn.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.cut_off: dict[Run, bool] = {}
        """What was ended with the transaction around it, and whether its own task did that."""
        self._waiting: deque[tuple[asyncio.Future[None], Run, frozenset[int]]] = deque()

    @property
    def recipes(self) -> list[Transaction]:
        """The recipes of what runs, the outermost first; one that is gone is left out."""
        recipes = [run.recipe() for run in self.runs]
        return [recipe for recipe in recipes if recipe is not None]

    def depth_of(self, run: Run) -> int:
        """Count from the outermost, which has depth 1."""
        return self.runs.index(run) + 1

    def inside(self, run: Run) -> list[Run]:
        """Return what was begun inside *run*, the outermost first."""
        return self.runs[self.runs.index(run) + 1 :]

    def check_open(self, run: Run, verb: str) -> None:
        """Raise `TransactionStateError` if *run* has ended."""
        if not run.is_open or run not in self.runs:
            raise TransactionStateError(
                f"cannot {verb}: the transaction has ended already; start another one"
            )

    def leave(self, run: Run) -> None:
        """Note that the task of *run* knows that it has ended; force_rollback's has many."""
        if not run.is_shared:
            self.cut_off.pop(run, None)

    def check_mine(self) -> None:
        """Raise if this task's statements belong to a transaction that was cut off.

        They would be committed one by one, each on its own.
        """
        if not self.cut_off:
            return
        task, inherited = current_task(), ancestors()
        for run, is_known in self.cut_off.items():
            if run.is_shared:
                raise NotConnectedError(
                    "DatabaseBackend is not running: the database was disconnected; connect() first"
                )
            if is_known:
                continue
            if id(run.backend) in inherited or (run.task is not None and run.task() is task):
                raise TransactionStateError(
                    "cannot run a query: its transaction was ended by the one around it; "
                    "wait for what runs inside before leaving a transaction"
                )

    def check_around(self, run: Run) -> None:
        """Raise if what *run* is to be inside has ended before it began."""
        if run not in self.runs:
            raise self.is_over()

    def is_over(self) -> TransactionStateError:
        """Return the error for what begins too late."""
        return TransactionStateError(
            "cannot begin: the transaction around it has ended; "
            "wait for what runs inside before leaving a transaction"
        )

    def check_options(self, run: Run) -> None:
        """Raise `ConfigurationError` for options that *run*, inside another one, cannot have.

        It may ask for what the outermost has: a decorated function may call itself.
        """
        strengths = getattr(run.backend, "strengths", None)
        if not run.options or strengths is None:
            return
        asked = strengths(run.options)
        outermost = next(each for each in self.runs if not each.is_shared)
        if outermost is run:
            return  # force_rollback has begun already, for a test, and without options
        given = strengths(outermost.options)
        for name, option in run.options.items():
            if asked.get(name, 0) > given.get(name, 0):
                raise ConfigurationError(
                    f"cannot begin a transaction with {name}={option!r} inside another one: "
                    "a savepoint has none of its own; give it to the outermost transaction"
                )

    def around_me(self) -> Run | None:
        """Return the innermost transaction that what this task does now is part of."""
        task, inherited = current_task(), ancestors()
        for run in reversed(self.runs):
            if not run.is_shared and run.is_around(task, inherited):
                return run
        return None

    def has_ancestor(self) -> bool:
        """Tell whether something that runs here is one that this context was started inside of."""
        inherited = ancestors()
        return any(id(run.backend) in inherited for run in self.runs)

    def push_now(self, run: Run) -> bool:
        """Put *run* on top if it is its turn, and tell whether it was."""
        is_its_turn = not self.runs or self._may_begin(run, ancestors())
        if is_its_turn:
            self.runs.append(run)
        return is_its_turn

    async def push(self, run: Run) -> None:
        """Wait until it is the turn of *run*, and put it on top."""
        inherited = ancestors()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        entry = (turn, run, inherited)
        self._waiting.append(entry)
        alarm = loop.call_later(WARN_AFTER, self._warn)
        task = None if self.runs[-1].task is None else self.runs[-1].task()
        if task is not None:
            task.add_done_callback(self._look_again)  # what comes then goes inside
        try:
            await turn
        except BaseException:
            if entry in self._waiting:
                self._waiting.remove(entry)
            self.pop(run)
            raise
        finally:
            alarm.cancel()
            if task is not None:
                task.remove_done_callback(self._look_again)

    def pop(self, run: Run) -> None:
        """Take *run* and what is inside it off; let the next one begin."""
        if run in self.runs:
            index = self.runs.index(run)
            for inner in self.runs[index:]:
                if inner.is_shared or (inner is not run and inner.is_open):
                    own = None if inner.task is None else inner.task()
                    self.cut_off[inner] = own is not None and own is current_task()
                inner.state = RunState.ENDED
            del self.runs[index:]
        run.state = RunState.ENDED
        self._look_again()

    def _look_again(self, _: object = None) -> None:
        """Let the first of those that wait begin, if it may."""
        for entry in list(self._waiting):
            turn, waiting, inherited = entry
            if turn.done():
                self._waiting.remove(entry)
            elif self._may_begin(waiting, inherited):
                self._waiting.remove(entry)
                self.runs.append(waiting)
                turn.set_result(None)
                return

    def _warn(self) -> None:
        task = None if not self.runs or self.runs[-1].task is None else self.runs[-1].task()
        logger.warning(
            "a transaction has waited %g s for the one that %s began on the same connection; "
            "end that one first, or give each task a connection of its own",
            WARN_AFTER,
            "another task" if task is None else f"task {task.get_name()!r}",
        )

    def _may_begin(self, run: Run, inherited: frozenset[int]) -> bool:
        """Tell whether *run* may begin now: nothing is open, or what is open is around it."""
        if not self.runs:
            return True
        top = self.runs[-1]
        task = None if run.task is None else run.task()
        return top.is_shared or top.is_around(task, inherited)
