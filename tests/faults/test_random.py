"""Random load; a failure names its seed, and the same seed makes the same plan again."""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import MakeDatabase
from tests.faults.acts import works
from tests.faults.load import Load, Settings, options, prepare
from tests.faults.soak import say
from tests.support.drivers import requires
from tests.support.outside import Outside

pytestmark = [pytest.mark.law, pytest.mark.time_limit(200)]

SEED = os.environ.get("TEST_SEED", "")
"""Give it to repeat a run; without it the seeds are chosen anew each time."""


def seeds(count: int) -> list[str]:
    return [SEED] if SEED else [f"{random.SystemRandom().randrange(10**6)}" for _ in range(count)]


async def run(
    make_database: MakeDatabase, outside: Outside, settings: Settings, count: int
) -> None:
    for seed in seeds(count):
        prepare(outside)
        database = make_database(**options(outside.case, settings))
        await database.connect()
        load = Load(database, outside, seed, settings)

        problems = await load.run()

        say(f"seed {seed}: {dict(load.counts)}")
        assert not problems, f"TEST_SEED={seed}: " + "\n  ".join(problems)
        await works(database, outside)
        await database.disconnect()


async def test_undisturbed(make_database: MakeDatabase, outside: Outside) -> None:
    await run(make_database, outside, Settings(cancels=False, workers=20), 1)


async def test_with_cancellations_and_time_outs(
    make_database: MakeDatabase, outside: Outside
) -> None:
    await run(make_database, outside, Settings(), 3)


async def test_with_one_place(make_database: MakeDatabase, outside: Outside) -> None:
    await run(make_database, outside, Settings(places=1), 1)


@requires("server")
async def test_with_sessions_that_are_ended(make_database: MakeDatabase, outside: Outside) -> None:
    await run(make_database, outside, Settings(kills=0.05), 2)


@pytest.mark.thorough
async def test_many_seeds(make_database: MakeDatabase, outside: Outside) -> None:
    await run(make_database, outside, Settings(workers=12, acts=15), 20)
