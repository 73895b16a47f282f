"""Money moves between accounts, with aborts, cancellations and deadlocks: none is lost."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.faults.acts import has_places, until_not, works
from tests.support.checks import within
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import accounts

pytestmark = pytest.mark.law

ACCOUNTS, BALANCE = 6, 1000
ADD = "UPDATE accounts SET balance = balance + :amount WHERE id = :id"


@pytest.fixture
def opened(outside: Outside) -> Outside:
    outside.insert(accounts, *({"id": n, "balance": BALANCE} for n in range(ACCOUNTS)))
    return outside


async def move(database: Database, source: int, target: int, amount: int) -> None:
    """Move *amount* within one transaction, locking in the order of the accounts."""
    changes = sorted([(source, -amount), (target, amount)])
    for number, change in changes:
        await database.execute(ADD, {"id": number, "amount": change})


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_sum_stays(
    make_database: MakeDatabase, opened: Outside, driver: DriverCase, seed: int
) -> None:
    places = 3 if driver.can("server") else 1
    database = make_database(max_size=places)
    await database.connect()
    chosen = random.Random(seed)
    plans: list[list[Any]] = [
        [
            (*chosen.sample(range(ACCOUNTS), 2), chosen.randint(1, 50), chosen.random())
            for _ in range(8)
        ]
        for _ in range(10)
    ]

    async def teller(plan: list[tuple[int, int, int, float]]) -> None:
        for source, target, amount, luck in plan:
            try:
                async with database.transaction():
                    await move(database, source, target, amount)
                    if luck < 0.2:
                        raise ZeroDivisionError
                    async with database.transaction(force_rollback=luck < 0.5):
                        await move(database, target, source, amount // 2)
            except (ZeroDivisionError, driver.error):
                continue

    tellers = [asyncio.create_task(teller(plan)) for plan in plans]
    # A task that is cancelled ends; others take its turn.
    while not all(task.done() for task in tellers):
        await asyncio.sleep(chosen.random() * 0.02)
        if chosen.random() < 0.4:
            chosen.choice(tellers).cancel()
        assert await total(database) == ACCOUNTS * BALANCE

    results = await asyncio.gather(*tellers, return_exceptions=True)
    assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results), results
    await until_not(opened.open_transactions, "transactions left open")
    assert sum(opened.column(accounts.c.balance)) == ACCOUNTS * BALANCE
    await has_places(database, places)
    await works(database, opened)


async def total(database: Database) -> int:
    return int(await database.fetch_val("SELECT sum(balance) FROM accounts"))


@requires("server")
async def test_a_deadlock_is_the_drivers_error_and_leaves_the_database_usable(
    make_database: MakeDatabase, opened: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    locked = [asyncio.Event(), asyncio.Event()]

    async def teller(first: int) -> None:
        async with database.transaction():
            await database.execute(ADD, {"id": first, "amount": 1})
            locked[first].set()
            await locked[1 - first].wait()
            await database.execute(ADD, {"id": 1 - first, "amount": -1})

    outcomes = await within(asyncio.gather(teller(0), teller(1), return_exceptions=True), 20)

    errors = [outcome for outcome in outcomes if outcome is not None]
    assert len(errors) == 1, outcomes
    assert isinstance(errors[0], driver.error)
    assert sum(opened.column(accounts.c.balance)) == ACCOUNTS * BALANCE
    await has_places(database, 2)
    await works(database, opened)


@requires("server")
async def test_a_deadlock_in_a_savepoint_is_never_half_committed(
    make_database: MakeDatabase, opened: Outside, driver: DriverCase
) -> None:
    """MySQL rolls the whole transaction back, PostgreSQL the savepoint can be saved."""
    database = make_database(max_size=2)
    await database.connect()
    locked = [asyncio.Event(), asyncio.Event()]

    async def teller(first: int) -> None:
        async with database.transaction():
            await database.execute(ADD, {"id": first, "amount": 10})
            locked[first].set()
            await locked[1 - first].wait()
            try:
                async with database.transaction():
                    await database.execute(ADD, {"id": 1 - first, "amount": 0})
            except driver.error:
                pass
            # What was lost with the deadlock must not be half made good.
            await database.execute(ADD, {"id": first, "amount": -10})

    outcomes = await within(asyncio.gather(teller(0), teller(1), return_exceptions=True), 20)

    assert sum(outcome is None for outcome in outcomes) >= 1, outcomes
    assert opened.column(accounts.c.balance) == [BALANCE] * ACCOUNTS
    await has_places(database, 2)
    await works(database, opened)


@requires("isolation_levels")
async def test_a_serialization_failure_is_the_drivers_error(
    make_database: MakeDatabase, opened: Outside, driver: DriverCase
) -> None:
    database = make_database(max_size=2)
    await database.connect()
    read = [asyncio.Event(), asyncio.Event()]

    async def withdraw(number: int) -> None:
        async with database.transaction(isolation="serializable"):
            assert await total(database) == ACCOUNTS * BALANCE
            read[number].set()
            await read[1 - number].wait()
            await database.execute(ADD, {"id": number, "amount": -BALANCE})

    outcomes = await within(asyncio.gather(withdraw(0), withdraw(1), return_exceptions=True), 20)

    errors = [outcome for outcome in outcomes if outcome is not None]
    assert len(errors) == 1, outcomes
    assert isinstance(errors[0], driver.error)
    assert sum(opened.column(accounts.c.balance)) == (ACCOUNTS - 1) * BALANCE
    await has_places(database, 2)


@requires("file")
async def test_writers_of_a_file_that_wait_too_long_get_the_drivers_error(
    make_database: MakeDatabase, opened: Outside, driver: DriverCase, url: str
) -> None:
    database = make_database(f"{url}?timeout=0.05")
    await database.connect()
    began, ended = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.transaction(mode="immediate"):
            began.set()
            await ended.wait()

    holder = asyncio.create_task(first())
    await began.wait()
    with pytest.raises(driver.error):
        async with database.transaction(mode="immediate"):
            raise AssertionError
    ended.set()
    await holder

    await works(database, opened)
