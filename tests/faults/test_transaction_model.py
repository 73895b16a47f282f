"""The transaction stack against a small model: tasks that nest, fail, wait and are cancelled."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from databases import Database
from databases.core import Transaction
from databases.errors import TransactionStateError
from tests.faults.operations import heed
from tests.faults.score import Score
from tests.support.fake_driver import (
    ConnectionLost,
    Deadlock,
    FakeBackend,
    FakeServer,
    ServerError,
    close_loop,
)

HELD = {"begin", "write", "run", "commit", "rollback"}
INSERT = "INSERT INTO numbers VALUES (:number)"
picks = st.integers(0, 100)


@dataclass(eq=False)
class Frame:
    """A transaction or savepoint, and what became of the rows written in it."""

    parent: Frame | None = None
    kept: set[int] = field(default_factory=set)
    """Acknowledged: there if the root is committed."""
    gone: set[int] = field(default_factory=set)
    """Refused or rolled back: never there."""
    unsure: list[set[int]] = field(default_factory=list)
    """Interrupted: each set there as a whole, or not at all."""
    end: str = "open"
    """Of the root: open, none, doubt or committed."""

    def merge(self, inner: Frame) -> None:
        """Take over what *inner* has done."""
        self.kept |= inner.kept
        self.gone |= inner.gone
        self.unsure += inner.unsure

    def undo(self) -> None:
        """Nothing of it was kept."""
        self.gone |= self.kept.union(*self.unsure)
        self.kept, self.unsure = set(), []

    def doubt(self) -> None:
        """All of it was kept, or nothing."""
        self.unsure = [self.kept.union(*self.unsure)]
        self.kept = set()

    def problems(self, found: set[int]) -> list[str]:
        """Say what is wrong if *found* are the committed rows."""
        rows = self.kept.union(self.gone, *self.unsure)
        if self.end in ("open", "none"):
            return [f"{found & rows} of a transaction that is {self.end}"] if found & rows else []
        if self.end == "doubt" and not found & rows:
            return []
        wrong = [f"lost: {self.kept - found}"] if self.kept - found else []
        wrong += [f"undone, but there: {self.gone & found}"] if self.gone & found else []
        return wrong + [
            f"half of {each}" for each in self.unsure if found & each not in (each, set())
        ]


class Actor:
    """A task that does one thing after another, as it is told."""

    def __init__(self) -> None:
        self.open: list[tuple[Transaction, Frame]] = []
        self.is_busy = False
        self.error: BaseException | None = None
        self._orders: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self.task = asyncio.ensure_future(self._obey())

    def order(self, act: Callable[[], Awaitable[None]]) -> None:
        self.is_busy = True
        self._orders.put_nowait(act)

    async def _obey(self) -> None:
        while True:
            act = await self._orders.get()
            try:
                await act()
            except BaseException as error:
                self.error = error
            self.is_busy = False


class StackMachine(RuleBasedStateMachine):
    """Actors on connections of their own, or all on one."""

    shared: ClassVar[bool]
    recovers: ClassVar[bool]
    begun: ClassVar[Callable[[], None]]

    def __init__(self) -> None:
        super().__init__()
        type(self).begun()
        self.loop = asyncio.new_event_loop()
        self.server = FakeServer(holds=set(HELD), recovers=self.recovers)
        FakeBackend.driver.server = self.server
        self.roots: list[Frame] = []
        self.alone = Frame(end="committed")
        """What was written outside of transactions."""
        self.number = 0
        self.run(self._start())

    async def _start(self) -> None:
        class FakeDatabase(Database):
            SUPPORTED_BACKENDS: ClassVar = {"fake": "tests.support.fake_driver:FakeBackend"}

        self.database = FakeDatabase("fake://", max_size=4, max_idle=None, cleanup_timeout=60)
        await self.database.connect()
        self.connection = self.database.connection() if self.shared else None
        if self.connection is not None:
            await self.connection.__aenter__()
        self.actors = [Actor() for _ in range(3)]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        async def steps() -> None:
            for _ in range(15):
                await asyncio.sleep(0)

        self.run(steps())

    @property
    def target(self) -> Any:
        return self.database if self.connection is None else self.connection

    def actor(self, number: int) -> Actor:
        return self.actors[number % len(self.actors)]

    @property
    def owner(self) -> Actor | None:
        """Who has a transaction open on the connection that all share."""
        return next((actor for actor in self.actors if actor.open), None)

    # What an actor does

    async def _begin(self, actor: Actor) -> None:
        transaction: Transaction = self.target.transaction()
        try:
            await transaction.start()
        except asyncio.CancelledError:
            heed()
            return
        except (ServerError, ConnectionLost, TransactionStateError):
            return
        if self.shared:
            others = [other for other in self.actors if other.open and other is not actor]
            assert not others, "began inside the transaction of a sibling"
        frame = Frame(actor.open[-1][1] if actor.open else None)
        if frame.parent is None:
            self.roots.append(frame)
        actor.open.append((transaction, frame))

    async def _write(self, actor: Actor, number: int) -> None:
        frame = actor.open[-1][1] if actor.open else self.alone
        try:
            await self.target.execute(INSERT, {"number": number})
        except asyncio.CancelledError:
            heed()
            frame.unsure.append({number})
        except ConnectionLost:
            frame.unsure.append({number})
        except (ServerError, TransactionStateError):
            frame.gone.add(number)
        else:
            frame.kept.add(number)

    async def _end(self, actor: Actor, *, commit: bool) -> None:
        transaction, frame = actor.open.pop()
        end = "none"
        try:
            await (transaction.commit() if commit else transaction.rollback())
            end = "committed" if commit else "none"
        except asyncio.CancelledError:
            heed()
            end = "doubt" if commit else "none"
        except (ServerError, ConnectionLost):
            end = "doubt" if commit else "none"
        except TransactionStateError:
            end = "none"
        self._ended(frame, end)

    def _ended(self, frame: Frame, end: str) -> None:
        if frame.parent is None:
            frame.end = end
            return
        if end == "none":
            frame.undo()
        elif end == "doubt":
            frame.doubt()
        frame.parent.merge(frame)

    async def _block(self, actor: Actor, numbers: list[int], fails: bool) -> None:
        frame = Frame(actor.open[-1][1] if actor.open else None)
        if frame.parent is None:
            self.roots.append(frame)
        is_over, end = False, "none"
        try:
            async with self.target.transaction():
                for number in numbers:
                    await self.target.execute(INSERT, {"number": number})
                    frame.kept.add(number)
                if fails:
                    raise ZeroDivisionError
                is_over = True
            end = "committed"
        except asyncio.CancelledError:
            heed()
            end = "doubt" if is_over else "none"
        except (ServerError, ConnectionLost):
            end = "doubt" if is_over else "none"
        except (TransactionStateError, ZeroDivisionError):
            end = "none"
        frame.gone |= set(numbers) - frame.kept
        self._ended(frame, end)

    # What can happen

    def _numbers(self, count: int) -> list[int]:
        self.number += count
        return list(range(self.number - count, self.number))

    def _may_act(self, actor: Actor) -> bool:
        return not actor.is_busy and not actor.task.done()

    @rule(who=picks)
    def begin(self, who: int) -> None:
        actor = self.actor(who)
        if self._may_act(actor) and len(actor.open) < 4:
            actor.order(lambda: self._begin(actor))

    @rule(who=picks)
    def write(self, who: int) -> None:
        actor = self.actor(who)
        if not self._may_act(actor):
            return
        # On a shared connection it would be inside another's transaction.
        if self.shared and not actor.open and any(a.is_busy or a.open for a in self.actors):
            return
        number = self._numbers(1)[0]
        actor.order(lambda: self._write(actor, number))

    @rule(who=picks, commit=st.booleans())
    def end_the_innermost(self, who: int, commit: bool) -> None:
        actor = self.actor(who)
        if self._may_act(actor) and actor.open:
            actor.order(lambda: self._end(actor, commit=commit))

    @rule(who=picks, commit=st.booleans())
    def end_out_of_order(self, who: int, commit: bool) -> None:
        actor = self.actor(who)
        if not self._may_act(actor) or len(actor.open) < 2:
            return

        async def end() -> None:
            with pytest.raises(TransactionStateError):
                await (actor.open[0][0].commit() if commit else actor.open[0][0].rollback())

        actor.order(end)

    @rule(who=picks, count=st.integers(1, 3), fails=st.booleans())
    def block(self, who: int, count: int, fails: bool) -> None:
        actor = self.actor(who)
        if self._may_act(actor):
            numbers = self._numbers(count)
            actor.order(lambda: self._block(actor, numbers, fails))

    @rule()
    def let_things_run(self) -> None:
        self.settle()

    @precondition(lambda self: self.server.steps)
    @rule(pick=picks)
    def a_step_ends(self, pick: int) -> None:
        self._end_step(pick, None)

    @precondition(lambda self: self.server.steps)
    @rule(pick=picks, error=st.sampled_from([ServerError, Deadlock, ConnectionLost]))
    def a_step_fails(self, pick: int, error: type[Exception]) -> None:
        self._end_step(pick, error("as the test wants it"))

    def _end_step(self, pick: int, error: Exception | None) -> None:
        step = self.server.steps[pick % len(self.server.steps)]
        raw = step.raw
        if step.effect is None and isinstance(error, ServerError):
            error = None  # it has been done, and cannot be refused any more
        if raw is not None and isinstance(error, (Deadlock, ConnectionLost)):
            self.server.end(raw)
            raw.is_open = not isinstance(error, ConnectionLost)

        async def end() -> None:
            step.end(error)

        self.run(end())

    @rule(who=picks, happens=st.booleans())
    def cancel(self, who: int, happens: bool) -> None:
        """Cancel what an actor does, and let the server do it or not."""
        actor = self.actor(who)
        self.settle()
        if not actor.is_busy:
            return
        for step in self.server.steps:
            if happens and not step.answer.done():
                step.happen()
        actor.task.cancel()
        self.settle()

    # What must hold after each of them

    @invariant()
    def no_actor_is_surprised(self) -> None:
        self.settle()
        for actor in self.actors:
            if actor.error is not None:
                raise actor.error
            assert not actor.task.done(), "an actor has ended"

    @invariant()
    def the_rows_are_right(self) -> None:
        found = set(self.server.committed)
        assert len(found) == len(self.server.committed), "a row was written twice"
        busy = any(actor.is_busy for actor in self.actors)
        for frame in [self.alone, *self.roots]:
            # What is going on may have been done, and not been told yet.
            if not busy:
                assert frame.problems(found) == []

    def teardown(self) -> None:
        """Everything comes to its end, and nothing is left."""
        try:
            self._end_everything()
        finally:
            self.database.is_connected = False  # or it warns when it is collected
            close_loop(self.loop)

    def _end_everything(self) -> None:
        self.server.holds.clear()
        for _ in range(60):
            for step in list(self.server.steps):
                step.end()
            self.settle()
            for actor in self.actors:
                if actor.open and not actor.is_busy:
                    actor.order(functools.partial(self._end, actor, commit=False))
            if not any(actor.is_busy or actor.open for actor in self.actors):
                break
        else:
            raise AssertionError("an actor waits for ever")
        self.no_actor_is_surprised()
        self.the_rows_are_right()
        self.run(self._close())

    async def _close(self) -> None:
        for actor in self.actors:
            actor.task.cancel()
        await asyncio.wait([actor.task for actor in self.actors])
        if self.connection is not None:
            await self.connection.__aexit__()
        stats = self.database.pool_stats()
        assert stats.in_use == 0, stats
        await self.database.disconnect()
        assert self.server.open_raws == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.law
@pytest.mark.parametrize("recovers", [True, False], ids=["recovers", "gives_up"])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_the_stack_does_as_its_model(shared: bool, recovers: bool, score: Score) -> None:
    def count() -> None:
        score.tried("histories of transactions")

    attributes = {"shared": shared, "recovers": recovers, "begun": staticmethod(count)}
    machine: Any = type("Machine", (StackMachine,), attributes)
    case = machine.TestCase
    case.settings = settings(
        max_examples=120,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
