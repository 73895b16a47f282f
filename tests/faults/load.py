"""Random load: tasks, transactions, nesting, iteration, cancellations and time-outs, by a seed."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import random
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import databases
from databases.errors import DatabasesError
from tests.faults.acts import end_session, has_places, is_drivers_own
from tests.faults.operations import INSERT, NUMBERS, heed
from tests.support.drivers import DriverCase
from tests.support.outside import Outside
from tests.support.stepping import Moment, Stepped, waiting_at
from tests.support.tables import accounts, notes
from tests.support.watching import Ledger, look_at, settle

ACCOUNTS, BALANCE = 5, 1000
TRANSFER = "UPDATE accounts SET balance = balance + :amount WHERE id = :id"


class Aborted(Exception):
    """The load's own error: a block gives up and wants to be rolled back."""


@dataclass(frozen=True)
class Settings:
    """How much is done, and what disturbs it."""

    places: int = 3
    workers: int = 8
    acts: int = 12
    """Acts of each worker."""
    cancels: bool = True
    kills: float = 0.0
    """Sessions that are ended from outside, on average per act."""


@dataclass
class Load:
    """One round of random load on *database*, and what was wrong with it."""

    database: databases.Database
    outside: Outside
    seed: str
    settings: Settings
    ledger: Ledger = field(default_factory=Ledger)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _groups: int = 0

    @property
    def case(self) -> DriverCase:
        return self.outside.case

    async def run(self) -> list[str]:
        """Run all workers, then look from outside; say what was wrong."""
        workers = [
            asyncio.create_task(self._work(number), name=f"worker {number}")
            for number in range(self.settings.workers)
        ]
        _, late = await asyncio.wait(workers, timeout=40)
        for task in late:
            self.problems.append(f"{task.get_name()} is stuck at {waiting_at(task.get_coro())}")
            task.cancel()
        for task in set(workers) - late:
            if (error := task.exception()) is not None:
                self.problems.append(f"{task.get_name()} failed: {error!r}")
        await self._check()
        return self.problems

    async def _check(self) -> None:
        wrong = self.problems
        wrong += await settle(self.outside.open_transactions)
        wrong += await look_at(self.ledger, self.outside)
        balances = self.outside.column(accounts.c.balance)
        if sum(balances) != ACCOUNTS * BALANCE:
            wrong.append(f"the sum of the accounts is wrong: {balances}")
        try:
            await asyncio.wait_for(has_places(self.database, self.settings.places), 10)
        except Exception as error:
            wrong.append(f"places are missing: {error!r}, {self.database.pool_stats()}")
        sessions = self.outside.sessions()
        if len(sessions) > self.settings.places:
            more = await settle(lambda: self.outside.sessions()[self.settings.places :])
            wrong += [f"a session too many: {one}" for one in more]

    # One worker

    async def _work(self, number: int) -> None:
        chosen = random.Random(f"{self.seed}/{number}")
        for turn in range(self.settings.acts):
            act = chosen.choice(ACTS)
            self.counts[act.__name__] += 1
            if self.settings.kills and chosen.random() < self.settings.kills:
                self._kill(chosen)
            try:
                await self._disturbed(chosen, act(self, chosen, f"{number}.{turn}"))
            except (Aborted, asyncio.TimeoutError):
                pass
            except Exception as error:
                if not self._is_expected(error):
                    self.problems.append(f"{act.__name__} {number}.{turn} raised {told(error)}")

    async def _disturbed(self, chosen: random.Random, act: Coroutine[Any, Any, None]) -> None:
        """Run *act*, perhaps cancelled at a suspension or after a time."""
        luck = chosen.random() if self.settings.cancels else 1.0
        if luck < 0.3:
            await self._cancelled(chosen, act, inline=chosen.random() < 0.5)
        elif luck < 0.45:
            self.counts["time-outs set"] += 1
            await asyncio.wait_for(act, chosen.random() * 0.03)
        else:
            await act

    async def _cancelled(
        self, chosen: random.Random, act: Coroutine[Any, Any, None], *, inline: bool
    ) -> None:
        at, seen = chosen.choice((1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 14)), 0
        moment = chosen.choice([Moment.WAITING, Moment.ARRIVED])
        is_over, sent = False, 0
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            nonlocal sent
            if not is_over and task is not None and task.cancel():
                sent += 1
                self.counts["cancellations"] += 1

        def suspended(stepped: Stepped[Any], awaited: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                if moment is Moment.ARRIVED and asyncio.isfuture(awaited):
                    awaited.add_done_callback(lambda _: cancel())
                else:
                    loop.call_soon(cancel)

        stepped = Stepped(act, suspended)
        task = asyncio.current_task() if inline else loop.create_task(stepped)
        try:
            await (stepped if inline or task is None else task)
            is_over = True
            if sent:
                self.problems.append("a cancellation was swallowed")
        except asyncio.CancelledError:
            is_over = True
            if inline:
                heed()
        finally:
            is_over = True

    def _kill(self, chosen: random.Random) -> None:
        if sessions := sorted(self.outside.sessions()):
            end_session(self.outside, int(chosen.choice(sessions).partition(" ")[0]))
            self.counts["sessions ended"] += 1

    def _is_expected(self, error: Exception) -> bool:
        """Tell whether *error* may reach a program under this load."""
        if self.case.can("file"):
            # Writers of one file exclude each other, and may wait in vain.
            return isinstance(error, self.case.error) and "locked" in str(error)
        if not self.settings.kills:
            return False
        return isinstance(error, DatabasesError) or is_drivers_own(self.case, error)

    # What the acts share

    def _group(self, name: str, size: int = 0) -> str:
        self._groups += 1
        return self.ledger.begin(f"{name}#{self._groups}", size)

    async def _insert(self, group: str) -> None:
        self.ledger.grow(group)
        await self.database.execute(INSERT, {"text": group, "completed": True})

    async def _ask(self, chosen: random.Random) -> None:
        number = chosen.randint(1, 10**9)
        answer = await self.database.fetch_val("SELECT :number + 1", {"number": number})
        if answer != number + 1:
            self.problems.append(f"asked for {number + 1}, got {answer!r}")


async def read(load: Load, chosen: random.Random, name: str) -> None:
    for _ in range(chosen.randint(1, 4)):
        await load._ask(chosen)
    last = chosen.randint(1, 300)
    rows = await load.database.fetch_all(NUMBERS, {"last": last})
    if [row["n"] for row in rows] != list(range(1, last + 1)):
        load.problems.append(f"{len(rows)} rows came, not {last}")


async def write(load: Load, chosen: random.Random, name: str) -> None:
    group = load._group(name, 1)
    load.ledger.in_doubt(group)
    await load.database.execute(notes.insert().values(text=group, completed=False))
    load.ledger.acknowledge(group)


async def write_many(load: Load, chosen: random.Random, name: str) -> None:
    count = chosen.randint(1, 30)
    group = load._group(name, count)
    load.ledger.in_doubt(group)
    await load.database.execute_many(INSERT, [{"text": group, "completed": True}] * count)
    load.ledger.acknowledge(group)


async def stream(load: Load, chosen: random.Random, name: str) -> None:
    last, stop = chosen.randint(1, 700), chosen.randint(1, 900)
    seen = 0
    async for row in load.database.iterate(NUMBERS, {"last": last}):
        seen += 1
        if row["n"] != seen:
            load.problems.append(f"row {seen} of a stream is {row['n']}")
        if seen % 100 == 0:
            await load._ask(chosen)
        if seen == stop:
            break
    if seen != min(last, stop):
        load.problems.append(f"a stream of {last} ended after {seen}")


async def transaction(load: Load, chosen: random.Random, name: str) -> None:
    group = load._group(name)
    async with load.database.transaction():
        await _block(load, chosen, group, depth=1)
        load.ledger.in_doubt(group)
    load.ledger.acknowledge(group)


async def _block(load: Load, chosen: random.Random, group: str, depth: int) -> None:
    for _ in range(chosen.randint(1, 3)):
        luck = chosen.random()
        if luck < 0.4:
            await load._insert(group)
        elif luck < 0.6:
            await load._ask(chosen)
        elif luck < 0.7:
            await stream(load, chosen, group)
        elif luck < 0.75:
            raise Aborted
        elif luck < 0.8:
            await asyncio.sleep(chosen.random() * 0.005)
        elif depth < 4 and luck < 0.9:
            async with load.database.transaction():
                await _block(load, chosen, group, depth + 1)
        elif depth < 4:
            undone = load._group(f"{group}.undone")
            with contextlib.suppress(Aborted):
                async with load.database.transaction():
                    await _block(load, chosen, undone, depth + 1)
                    raise Aborted


async def low_level(load: Load, chosen: random.Random, name: str) -> None:
    group = load._group(name)
    begun = await load.database.transaction()
    try:
        await _block(load, chosen, group, depth=2)
    except BaseException:
        await begun.rollback()
        raise
    load.ledger.in_doubt(group)
    await begun.commit()
    load.ledger.acknowledge(group)


async def decorated(load: Load, chosen: random.Random, name: str) -> None:
    group = load._group(name)
    depth = chosen.randint(1, 3)

    @load.database.transaction()
    async def function(left: int) -> None:
        await load._insert(group)
        if left:
            await function(left - 1)
        if left == depth:
            load.ledger.in_doubt(group)

    await function(depth)
    load.ledger.acknowledge(group)


async def hold(load: Load, chosen: random.Random, name: str) -> None:
    async with load.database.connection() as connection:
        for _ in range(chosen.randint(1, 3)):
            await load._ask(chosen)
            await asyncio.sleep(chosen.random() * 0.003)
        assert await connection.fetch_val("SELECT 8") == 8


async def transfer(load: Load, chosen: random.Random, name: str) -> None:
    source, target = chosen.sample(range(ACCOUNTS), 2)
    amount = chosen.randint(1, 90)
    async with load.database.transaction():
        # In the order of the accounts: nobody can wait for each other.
        for number, change in sorted([(source, -amount), (target, amount)]):
            await load.database.execute(TRANSFER, {"id": number, "amount": change})
        if chosen.random() < 0.2:
            raise Aborted


Act = Callable[[Load, random.Random, str], Coroutine[Any, Any, None]]
ACTS: list[Act] = [
    read,
    write,
    write_many,
    stream,
    transaction,
    transaction,
    low_level,
    decorated,
    hold,
    transfer,
]


def told(error: BaseException) -> str:
    """Give *error* with the places it came through, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{frame.name} ({pathlib.Path(frame.filename).name}:{frame.lineno})" for frame in frames
    ]
    return f"{error!r} at {' > '.join(places[-8:])}"


def prepare(outside: Outside) -> None:
    """Empty the tables and open the accounts."""
    outside.run(notes.delete())
    outside.run(accounts.delete())
    outside.insert(accounts, *({"id": n, "balance": BALANCE} for n in range(ACCOUNTS)))


def options(case: DriverCase, settings: Settings) -> dict[str, Any]:
    """Give the options of a database under this load."""
    chosen: dict[str, Any] = {"max_size": settings.places, "cleanup_timeout": 2}
    if case.can("file"):
        chosen["timeout"] = 0.3  # of SQLite's own wait for a lock
    return chosen
