"""The operations of the sweep: each is run once per point, and cancelled there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import databases
from tests.support.drivers import DriverCase
from tests.support.tables import notes
from tests.support.watching import Ledger

INSERT = "INSERT INTO notes (text, completed) VALUES (:text, :completed)"
MANY_ROWS = 600
NUMBERS = (
    "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :last) "
    "SELECT n FROM s"
)


@dataclass
class Scene:
    """One run of an operation: its database, and what it has written."""

    case: DriverCase
    database: databases.Database
    ledger: Ledger
    name: str
    """Unique in the sweep: the groups of the ledger begin with it."""
    is_forced: bool = False
    """Whether everything is rolled back at the end: `force_rollback`."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    others: list[asyncio.Task[None]] = field(default_factory=list)
    """Tasks that use the database at the same time, and must end by themselves."""

    def group(self, name: str, size: int = 1) -> str:
        return self.ledger.begin(f"{self.name}.{name}", size)

    async def insert(self, group: str, connection: Any = None) -> None:
        target = self.database if connection is None else connection
        await target.execute(INSERT, {"text": group, "completed": False})


Run = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Operation:
    """Something that is cancelled at each of its suspensions."""

    name: str
    run: Run
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the database."""
    prepare: Run | None = None
    """What happens before, not cancelled."""
    is_connected: bool = True
    """Whether the database is connected before."""

    def __str__(self) -> str:
        return self.name


async def connect(scene: Scene) -> None:
    await scene.database.connect()


async def disconnect(scene: Scene) -> None:
    await scene.database.disconnect()


async def acquire(scene: Scene) -> None:
    scene.started.set()
    async with scene.database.connection():
        pass


async def rest(scene: Scene) -> None:
    """Let the connection be idle for so long that the pool looks at it."""
    await asyncio.sleep(0.05)


async def hold(scene: Scene) -> None:
    """Let one task hold the only connection, and another wait behind the operation."""
    held = asyncio.Event()

    async def holder() -> None:
        async with scene.database.connection():
            held.set()
            await scene.started.wait()
            for _ in range(3):
                await asyncio.sleep(0)

    async def follower() -> None:
        await scene.started.wait()
        await asyncio.sleep(0)
        async with scene.database.connection() as connection:
            assert await connection.fetch_val("SELECT 5") == 5

    scene.others += [asyncio.create_task(holder()), asyncio.create_task(follower())]
    await held.wait()


async def fetch_one(scene: Scene) -> None:
    row = await scene.database.fetch_one("SELECT 1 AS one, :two AS two", {"two": "2"})
    assert row is not None
    assert tuple(row.values()) == (1, "2")


async def fetch_all(scene: Scene) -> None:
    rows = await scene.database.fetch_all(NUMBERS, {"last": MANY_ROWS})
    assert [row["n"] for row in rows] == list(range(1, MANY_ROWS + 1))


async def execute(scene: Scene) -> None:
    group = scene.group("raw")
    scene.ledger.in_doubt(group)
    await scene.insert(group)
    scene.ledger.acknowledge(group)
    group = scene.group("core")
    scene.ledger.in_doubt(group)
    await scene.database.execute(notes.insert().values(text=group, completed=True))
    scene.ledger.acknowledge(group)


async def execute_many(scene: Scene) -> None:
    group = scene.group("many", 20)
    scene.ledger.in_doubt(group)
    await scene.database.execute_many(INSERT, [{"text": group, "completed": True}] * 20)
    scene.ledger.acknowledge(group)


async def many_inside(scene: Scene) -> None:
    group = scene.group("many", 41)
    async with scene.database.transaction():
        await scene.insert(group)
        await scene.database.execute_many(INSERT, [{"text": group, "completed": True}] * 40)
        scene.ledger.in_doubt(group)
    scene.ledger.acknowledge(group)


async def held(scene: Scene) -> None:
    """Several things on one connection, which the task keeps."""
    async with scene.database.connection() as connection:
        group = scene.group("alone")
        scene.ledger.in_doubt(group)
        await scene.insert(group, connection)
        scene.ledger.acknowledge(group)
        group = scene.group("together", 2)
        async with connection.transaction():
            await scene.insert(group, connection)
            await scene.insert(group, connection)
            scene.ledger.in_doubt(group)
        scene.ledger.acknowledge(group)
        assert await connection.fetch_val("SELECT 6") == 6


async def iterate(scene: Scene) -> None:
    await _iterate_half(scene)


async def iterate_in_transaction(scene: Scene) -> None:
    group = scene.group("body", 2)
    async with scene.database.transaction():
        await scene.insert(group)
        await _iterate_half(scene)
        await scene.insert(group)
        scene.ledger.in_doubt(group)
    scene.ledger.acknowledge(group)


async def _iterate_half(scene: Scene) -> None:
    expected = 0
    async for row in scene.database.iterate(NUMBERS, {"last": MANY_ROWS}):
        expected += 1
        assert row["n"] == expected
        if expected == MANY_ROWS // 2:
            # The task's own queries work in the middle, and cancelling there
            # leaves the generator to the loop.
            assert await scene.database.fetch_val("SELECT 3") == 3
            await asyncio.sleep(0)
            break


async def iterate_with_writes(scene: Scene) -> None:
    async for row in scene.database.iterate(NUMBERS, {"last": 3}):
        group = scene.group(f"row{row['n']}")
        scene.ledger.in_doubt(group)
        await scene.insert(group)
        scene.ledger.acknowledge(group)


async def transaction_commit(scene: Scene) -> None:
    group = scene.group("rows", 2)
    async with scene.database.transaction():
        await scene.insert(group)
        assert await scene.database.fetch_val("SELECT 4") == 4
        await scene.insert(group)
        scene.ledger.in_doubt(group)
    scene.ledger.acknowledge(group)


async def transaction_rollback(scene: Scene) -> None:
    group = scene.group("rows", 2)
    with contextlib.suppress(ZeroDivisionError):
        async with scene.database.transaction():
            await scene.insert(group)
            await scene.insert(group)
            raise ZeroDivisionError


async def nested(scene: Scene) -> None:
    kept, undone = scene.group("kept", 3), scene.group("undone")
    async with scene.database.transaction():
        await scene.insert(kept)
        async with scene.database.transaction():
            await scene.insert(kept)
        with contextlib.suppress(ZeroDivisionError):
            async with scene.database.transaction():
                await scene.insert(undone)
                raise ZeroDivisionError
        await scene.insert(kept)
        scene.ledger.in_doubt(kept)
    scene.ledger.acknowledge(kept)


async def run_sync(scene: Scene) -> None:
    group = scene.group("sync", 2)

    def work(connection: sa.Connection) -> None:
        for _ in range(2):
            connection.execute(notes.insert().values(text=group, completed=True))
        scene.ledger.in_doubt(group)

    await scene.database.run_sync(work)
    scene.ledger.acknowledge(group)


async def hooks(scene: Scene) -> None:
    """A function after the commit writes, whole, if and only if the commit was made."""
    kept, told = scene.group("kept"), scene.group("told", 2)

    async def tell() -> None:
        async with scene.database.transaction():
            await scene.insert(told)
            await scene.insert(told)
            scene.ledger.in_doubt(told)

    async with scene.database.transaction() as transaction:
        transaction.on_commit(tell)
        await scene.insert(kept)
        scene.ledger.in_doubt(kept)
    scene.ledger.acknowledge(kept)
    scene.ledger.acknowledge(told)


async def decorator(scene: Scene) -> None:
    group = scene.group("rows", 4)

    @scene.database.transaction()
    async def write(depth: int) -> None:
        await scene.insert(group)
        if depth:
            await write(depth - 1)
        await scene.insert(group)
        if depth:
            scene.ledger.in_doubt(group)

    await write(1)
    scene.ledger.acknowledge(group)


async def low_level(scene: Scene) -> None:
    group = scene.group("rows", 2)
    transaction = await scene.database.transaction()
    try:
        await scene.insert(group)
        await scene.insert(group)
    except BaseException:
        await transaction.rollback()
        raise
    scene.ledger.in_doubt(group)
    await transaction.commit()
    scene.ledger.acknowledge(group)


async def low_level_rollback(scene: Scene) -> None:
    group = scene.group("rows", 2)
    transaction = await scene.database.transaction()
    await scene.insert(group)
    await scene.insert(group)
    await transaction.rollback()


async def low_level_abandoned(scene: Scene) -> None:
    """Nobody ends what was begun when the task is cancelled."""
    group = scene.group("rows", 2)
    transaction = await scene.database.transaction()
    await scene.insert(group)
    inner = await scene.database.transaction()
    await scene.insert(group)
    await inner.commit()
    scene.ledger.in_doubt(group)
    await transaction.commit()
    scene.ledger.acknowledge(group)


async def caught_inside(scene: Scene) -> None:
    """A statement is cancelled, the transaction around it goes on."""
    around, inside = scene.group("around", 2), scene.group("inside")
    cancelled: BaseException | None = None
    try:
        async with scene.database.transaction():
            await scene.insert(around)
            try:
                await scene.insert(inside)
            except asyncio.CancelledError as error:
                cancelled = error
                heed()
            await scene.insert(around)
            scene.ledger.in_doubt(around)
            scene.ledger.in_doubt(inside)
        scene.ledger.acknowledge(around)
        if cancelled is None:
            scene.ledger.acknowledge(inside)
    except Exception:
        # The transaction may be lost with its statement, but then it says so.
        if cancelled is None:
            raise
    if cancelled is not None:
        raise cancelled


def heed() -> None:
    """Tell the task that its cancellation was dealt with, where it counts them."""
    task: Any = asyncio.current_task()
    if hasattr(task, "uncancel"):
        task.uncancel()


OPERATIONS = [
    Operation("connect", connect, is_connected=False),
    Operation("connect_forced", connect, {"force_rollback": True}, is_connected=False),
    Operation("disconnect", disconnect),
    Operation("disconnect_forced", disconnect, {"force_rollback": True}),
    Operation("acquire_free", acquire, {"min_size": 0}),
    Operation("acquire_pinged", acquire, {"pre_ping": True}, prepare=rest),
    Operation("acquire_busy", acquire, prepare=hold),
    Operation("fetch_one", fetch_one),
    Operation("fetch_all", fetch_all),
    Operation("execute", execute),
    Operation("execute_many", execute_many),
    Operation("many_inside", many_inside),
    Operation("held", held),
    Operation("iterate", iterate),
    Operation("iterate_inside", iterate_in_transaction),
    Operation("iterate_writing", iterate_with_writes),
    Operation("commit", transaction_commit),
    Operation("rollback", transaction_rollback),
    Operation("nested", nested),
    Operation("decorator", decorator),
    Operation("run_sync", run_sync),
    Operation("hooks", hooks),
    Operation("low_level", low_level),
    Operation("low_rollback", low_level_rollback),
    Operation("low_abandoned", low_level_abandoned),
    Operation("caught_inside", caught_inside),
]
