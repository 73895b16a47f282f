"""Cancels an operation at every suspension, and looks from outside at what is left."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import databases
from tests.faults.acts import end_sessions
from tests.faults.operations import INSERT, MANY_ROWS, NUMBERS, Operation, Scene, heed
from tests.support.outside import Outside
from tests.support.stepping import Canceller, Moment
from tests.support.watching import Leaks, Ledger, look_at, patience, settle

SERVES_WITHIN = 2.0
"""Seconds in which a database must serve after a cancellation."""
ENDS_WITHIN = 3.0
"""Seconds in which an operation, or `disconnect()`, must end: less than `cleanup_timeout`."""
MOST_POINTS = 500
"""An operation with more suspensions than this never ends."""


class Mode(enum.Enum):
    """How the operation is cancelled at a point."""

    WAITING = "waiting"
    ANSWERED = "answered"
    ARRIVED = "arrived"
    TWICE = "twice"  # again, during each suspension of the clean-up
    GOING_ON = "going on"  # and the same task uses the database afterwards

    @property
    def moment(self) -> Moment:
        return {Mode.ANSWERED: Moment.ANSWERED, Mode.ARRIVED: Moment.ARRIVED}.get(
            self, Moment.WAITING
        )


@dataclass
class Point:
    """One cancellation, and what was wrong after it."""

    first: int
    second: int | None
    places: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        at = "".join(f"\n      at {place}" for place in self.places)
        wrong = "".join(f"\n      wrong: {problem}" for problem in self.problems)
        again = "" if self.second is None else f", again {self.second} later"
        return f"k={self.first}{again}{at}{wrong}"


@dataclass
class Result:
    """The points of one operation in one mode."""

    points: list[Point] = field(default_factory=list)

    @property
    def unclean(self) -> list[Point]:
        return [point for point in self.points if point.problems]


class Sweep:
    """All points of one operation in one mode, each on an event loop of its own."""

    def __init__(self, outside: Outside, operation: Operation, mode: Mode) -> None:
        self._outside = outside
        self._operation = operation
        self._mode = mode
        self._ledger = Ledger()
        self.result = Result()

    def run(self) -> Result:
        """Cancel at the first suspension, the second, and so on until it ends by itself."""
        for first in range(1, MOST_POINTS):
            # Once, or again at each suspension of the clean-up.
            seconds: Iterator[int | None] = iter(
                range(1, MOST_POINTS) if self._mode is Mode.TWICE else [None]
            )
            for second in seconds:
                canceller = Canceller(first, self._mode.moment, second)
                point = Point(first, second, canceller.places)
                asyncio.run(self._visit(canceller, point))
                if canceller.count < first:
                    self._conclude(point)
                    return self.result
                if canceller.delivered or point.problems:
                    self.result.points.append(point)
                if point.problems:
                    self._recover()
                if second is None or canceller.count_after < second:
                    break
        raise AssertionError(f"{self._operation} has not ended after {MOST_POINTS} suspensions")

    def _conclude(self, last: Point) -> None:
        """Note what was wrong where the operation ended by itself, or shows only now."""
        last.problems += self._ledger.problems(self._outside)
        if last.problems:
            last.places.append("the end: it was not cancelled")
            self.result.points.append(last)

    def _recover(self) -> None:
        """Start afresh, so that an unclean point does not spoil the next ones."""
        gc.collect()
        end_sessions(self._outside)
        self._ledger = Ledger()
        self._outside.clean()

    async def _visit(self, canceller: Canceller, point: Point) -> None:
        operation, outside = self._operation, self._outside
        leaks = Leaks()
        leaks.listen(asyncio.get_running_loop())
        database = databases.Database(outside.url, max_size=1, **operation.options)
        name = f"{point.first}.{point.second or 0}"
        is_forced = bool(operation.options.get("force_rollback"))
        scene = Scene(outside.case, database, self._ledger, name, is_forced)
        wrong = point.problems
        try:
            if operation.is_connected:
                await database.connect()
            if operation.prepare is not None:
                await operation.prepare(scene)
            wrong += await self._cancelled(canceller, scene)
            wrong += await self._judge(scene, leaks, canceller)
        finally:
            for task in scene.others:
                task.cancel()
            if wrong:
                await _end_all_tasks()

    async def _cancelled(self, canceller: Canceller, scene: Scene) -> list[str]:
        """Run the operation and cancel it; say what was wrong with its end."""
        going_on = self._mode is Mode.GOING_ON
        work = self._going_on(canceller, scene) if going_on else self._operation.run(scene)
        task = canceller.start(_coroutine(work))
        done, _ = await asyncio.wait({task}, timeout=patience(ENDS_WITHIN + going_on))
        canceller.end()
        if not done:
            task.cancel()
            return ["the operation did not end"]
        if task.cancelled():
            return [] if canceller.delivered else ["it was cancelled, but not by us"]
        if (error := task.exception()) is not None:
            return [f"ended with {error!r}, context {error.__context__!r}"]
        if canceller.delivered and not going_on:
            return ["the cancellation was swallowed"]
        return []

    async def _going_on(self, canceller: Canceller, scene: Scene) -> None:
        try:
            await self._operation.run(scene)
        except asyncio.CancelledError:
            canceller.end()
            heed()
        else:
            canceller.end()
            if canceller.delivered:
                raise AssertionError("the cancellation was swallowed")
            return
        # Outside of `except`: by now nobody knows what the operation had begun.
        await use(scene, "going on")

    async def _judge(self, scene: Scene, leaks: Leaks, canceller: Canceller) -> list[str]:
        database, outside, ledger = scene.database, self._outside, scene.ledger
        canceller.task = None
        gc.collect(0)
        wrong: list[str] = []
        if self._mode is not Mode.GOING_ON:
            wrong += self._check_connected(database, cancelled=bool(canceller.delivered))
            if not database.is_connected:
                # Nothing may be left of a connection that failed, or has ended.
                wrong += await _eventually(outside.sessions, "session left")
        if not (scene.is_forced and database.is_connected):
            wrong += await _eventually(outside.open_transactions, "transaction left open")
        wrong += await look_at(ledger, outside)
        if scene.others:
            _, late = await asyncio.wait(scene.others, timeout=patience(SERVES_WITHIN))
            wrong += [f"another task got stuck: {task.get_coro()!r}" for task in late]
        wrong += await self._serves(scene)
        wrong += await look_at(ledger, outside)
        wrong += await _limited(database.disconnect(), ENDS_WITHIN, "disconnect()")
        wrong += await look_at(ledger, outside)
        wrong += await _eventually(outside.open_transactions, "transaction left at the end")
        wrong += await _eventually(outside.sessions, "session left at the end")
        wrong += await _eventually(_other_tasks, "task left at the end")
        wrong += await _eventually(leaks.found, "left at the end")
        gc.collect(0)
        return list(dict.fromkeys(wrong + [f"complaint: {text}" for text in leaks.complaints]))

    def _check_connected(self, database: databases.Database, *, cancelled: bool) -> list[str]:
        name, is_connected = self._operation.name, database.is_connected
        if name.startswith("connect") and is_connected is cancelled:
            return [f"is_connected is {is_connected}"]
        if name.startswith("disconnect") and is_connected:
            return ["is_connected is True"]
        return []

    async def _serves(self, scene: Scene) -> list[str]:
        database = scene.database
        if not database.is_connected:
            wrong = await _limited(database.connect(), ENDS_WITHIN, "connect() afterwards")
            if wrong:
                return wrong
        wrong = await _limited(_answer(database), SERVES_WITHIN, "a query")
        if not wrong:
            wrong = await _limited(use(scene, "after"), ENDS_WITHIN, "use")
        return wrong


async def use(scene: Scene, name: str) -> None:
    """Use the database in all ways, and check every answer."""
    database, ledger = scene.database, scene.ledger
    if not database.is_connected:
        await database.connect()
    await _answer(database)
    rows = await database.fetch_all(NUMBERS, {"last": 7})
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    is_forced = scene.is_forced
    for kind in ("plain", "kept", "undone"):
        group = scene.group(f"{name}.{kind}")
        if kind == "plain":
            if not is_forced:
                ledger.in_doubt(group)
            await database.execute(INSERT, {"text": group, "completed": True})
        else:
            with contextlib.suppress(ZeroDivisionError):
                async with database.transaction():
                    await database.execute(INSERT, {"text": group, "completed": True})
                    if kind == "undone":
                        raise ZeroDivisionError
                    if not is_forced:
                        ledger.in_doubt(group)
        if kind != "undone" and not is_forced:
            ledger.acknowledge(group)
    seen = [row["n"] async for row in database.iterate(NUMBERS, {"last": MANY_ROWS})]
    assert seen == list(range(1, MANY_ROWS + 1))


async def _answer(database: databases.Database) -> None:
    answer = await database.fetch_val("SELECT 41 + 1")
    assert answer == 42, f"a wrong answer: {answer!r}"


async def _limited(work: Any, seconds: float, name: str) -> list[str]:
    """Await *work* in a task of its own; say what was wrong."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=patience(seconds))
    if not done:
        task.cancel()
        return [f"{name} did not end within {seconds} s"]
    if task.cancelled():
        return [f"{name} was cancelled"]
    if (error := task.exception()) is not None:
        return [f"{name} raised {error!r}"]
    return []


async def _eventually(look: Callable[[], list[str]], what: str) -> list[str]:
    return [f"{what}: {found}" for found in await settle(look)]


def _other_tasks() -> list[str]:
    mine = asyncio.current_task()
    return [repr(task.get_coro()) for task in asyncio.all_tasks() if task is not mine]


async def _end_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=2)


async def _coroutine(work: Any) -> None:
    await work
