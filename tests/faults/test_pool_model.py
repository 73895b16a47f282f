"""The pool against a small model: whatever happens in whatever order, no place is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from databases.backends.common.options import PoolOptions
from databases.backends.common.pool import Pool
from databases.backends.common.slots import Slot
from databases.urls import DatabaseURL
from tests.faults.score import Score
from tests.support.fake_driver import ConnectionLost, FakeDriver, FakeRaw, FakeServer, close_loop

MOST = 3
HELD = ("connect", "close", "cancel", "recover", "rollback", "reset")
STATES = ["clean", "changed", "begun", "in doubt", "in doubt and begun", "broken"]
picks = st.integers(0, 100)


class Asker:
    """A task that asks the pool for a connection."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.slot: Slot | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        return self.slot is None and self.task is not None and not self.task.done()


class PoolMachine(RuleBasedStateMachine):
    """Asks, gives back, cancels, breaks and fails; the driver's steps end when it says so."""

    served: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        super().__init__()
        self.served()
        self.loop = asyncio.new_event_loop()
        self.server = FakeServer(holds=set(HELD))
        self.driver = FakeDriver()
        self.driver.server = self.server
        self.askers: list[Asker] = []
        self.errors: list[BaseException] = []
        options = PoolOptions(
            min_size=0, max_size=MOST, max_idle=None, pre_ping=False, cleanup_timeout=60
        )
        self.pool = Pool(self.driver, self._open, options)
        self.run(self.pool.start())

    def _open(self) -> Coroutine[Any, Any, FakeRaw]:
        return self.driver.connect(DatabaseURL("fake://"), {})

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        """Let everything run that can."""

        async def steps() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.run(steps())

    def pick(self, things: list[Any], number: int) -> Any:
        return things[number % len(things)]

    @property
    def waiting(self) -> list[Asker]:
        return [asker for asker in self.askers if asker.is_waiting]

    @property
    def holding(self) -> list[Asker]:
        return [asker for asker in self.askers if asker.slot is not None]

    # What can happen

    @rule()
    def ask(self) -> None:
        asker = Asker(len(self.askers))

        async def take() -> None:
            slot = self.pool.lend_now() or await self.pool.lend()
            raw = slot.raw
            assert raw.is_open, "a closed connection was lent"
            assert not raw.is_busy, "a connection was lent that is out of step"
            assert not raw.in_transaction, "a connection was lent inside a transaction"
            assert raw.session == 0, "a connection was lent with another's session"
            assert raw not in [other.slot.raw for other in self.holding if other.slot], "lent twice"
            earlier = [other.number for other in self.waiting if other.number < asker.number]
            assert not earlier, f"{asker.number} was served before {earlier}"
            asker.slot = slot

        async def begin() -> None:
            asker.task = asyncio.ensure_future(take())

        self.askers.append(asker)
        self.run(begin())

    @rule()
    def let_things_run(self) -> None:
        self.settle()

    def _take_back(self, asker: Asker) -> None:
        slot, asker.slot = asker.slot, None
        assert slot is not None

        async def give() -> None:
            self.pool.take_back(slot)

        self.run(give())

    @precondition(lambda self: self.holding)
    @rule(pick=picks, how=st.sampled_from(STATES))
    def give_back(self, pick: int, how: str) -> None:
        asker: Asker = self.pick(self.holding, pick)
        slot = asker.slot
        assert slot is not None
        if how == "changed":
            slot.changed, slot.raw.session = 1, 1
        elif how == "begun":
            slot.raw.savepoints.append(("", 0))
        elif how.startswith("in doubt"):
            slot.in_doubt = slot.raw.is_busy = True
            slot.raw.savepoints += [("", 0)] if how.endswith("begun") else []
        elif how == "broken":
            slot.raw.is_open = False
        self._take_back(asker)

    @precondition(lambda self: self.holding)
    @rule(pick=picks, cancel=st.booleans())
    def discard(self, pick: int, cancel: bool) -> None:
        asker: Asker = self.pick(self.holding, pick)
        slot, asker.slot = asker.slot, None

        async def part() -> None:
            assert slot is not None
            self.pool.discard(slot, cancel=cancel)

        self.run(part())

    @precondition(lambda self: self.waiting)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        self.pick(self.waiting, pick).task.cancel()

    @precondition(lambda self: self.waiting and self.holding)
    @rule(pick=picks)
    def give_back_and_cancel_in_the_same_step(self, pick: int) -> None:
        """The first in line gets a connection and is cancelled before it has run."""
        self.settle()
        if not self.waiting or not self.holding:
            return
        first, giver = self.waiting[0], self.pick(self.holding, pick)
        slot, giver.slot = giver.slot, None

        async def both() -> None:
            self.pool.take_back(slot)
            assert first.task is not None
            first.task.cancel()

        self.run(both())

    @precondition(lambda self: self.server.steps)
    @rule(pick=picks, fails=st.sampled_from([False, False, False, True]))
    def end_a_step(self, pick: int, fails: bool) -> None:
        step = self.pick(self.server.steps, pick)
        if fails and step.raw is not None:
            step.raw.is_open = False

        async def end() -> None:
            step.end(ConnectionLost("no") if fails else None)

        self.run(end())

    @precondition(lambda self: self.pool._idle)
    @rule(pick=picks)
    def the_server_ends_an_idle_connection(self, pick: int) -> None:
        self.pick(self.pool._idle, pick).raw.is_open = False

    @rule()
    def expire(self) -> None:
        async def expire() -> None:
            self.pool.expire_idle()

        self.run(expire())

    # What must hold after each of them

    @invariant()
    def nothing_is_wrong(self) -> None:
        for asker in self.askers:
            task = asker.task
            if task is not None and task.done() and not task.cancelled():
                error = task.exception()
                if error is not None and not isinstance(error, ConnectionLost):
                    raise error

    @invariant()
    def the_counts_agree(self) -> None:
        stats = self.pool.stats()
        assert stats.size + stats.opening <= MOST, stats
        assert stats.idle + stats.in_use + stats.cleaning == stats.size, stats
        assert stats.in_use >= len(self.holding), stats

    @invariant()
    def nobody_waits_without_need(self) -> None:
        self.settle()
        stats, waiting = self.pool.stats(), len(self.waiting)
        assert stats.waiting == waiting
        assert stats.in_use == len(self.holding), (stats, len(self.holding))
        if waiting:
            assert stats.idle == 0, stats
            full = stats.size + stats.opening == MOST
            assert full or stats.opening + stats.cleaning >= waiting, (stats, waiting)

    @invariant()
    def no_connection_is_forgotten(self) -> None:
        """An open one is in the pool, or is about to be closed."""
        self.settle()
        known = {id(slot.raw) for slot in self.pool._slots}
        known |= {id(step.raw) for step in self.server.steps}
        assert [raw.number for raw in self.server.open_raws if id(raw) not in known] == []

    def teardown(self) -> None:
        """Everybody who waits is served in the end, and closing leaves nothing."""
        try:
            self._end_everything()
        finally:
            close_loop(self.loop)

    def _end_everything(self) -> None:
        for _ in range(10 * (len(self.askers) + 10)):
            self.settle()
            for step in list(self.server.steps):
                step.end()
            for asker in self.holding:
                self._take_back(asker)
            if not (self.waiting or self.server.steps or self.holding):
                break
        else:
            raise AssertionError(f"{len(self.waiting)} wait for ever: {self.pool.stats()}")
        self.server.holds.clear()
        self.run(self.pool.shut_down(1))
        self.settle()
        assert [raw.number for raw in self.server.open_raws] == []
        assert not asyncio.all_tasks(self.loop)


@pytest.mark.law
@pytest.mark.parametrize("recovers", [True, False], ids=["recovers", "gives_up"])
def test_the_pool_does_as_its_model(recovers: bool, score: Score) -> None:
    def count() -> None:
        score.tried("histories of a pool")

    class Machine(PoolMachine):
        served = staticmethod(count)

        def __init__(self) -> None:
            super().__init__()
            self.server.recovers = recovers

    case = Machine.TestCase
    case.settings = settings(
        max_examples=150,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
