"""Random load for minutes, with cancellations, time-outs and sessions that are ended.

    python -m tests.faults.soak --minutes 10 --driver asyncpg [--seed N] [--url URL]

The URL is the one of TEST_DATABASE_URLS for the driver; without that variable
a private server is started. At the end the invariants hold, memory and threads
are flat, the pool is full again and the server has no session too many; the
exit code is 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import databases
from tests.faults.acts import has_places, works
from tests.faults.load import Load, Settings, options, prepare
from tests.faults.servers import RECIPES, RestartableServer
from tests.support.drivers import DRIVERS, DriverCase, load_drivers
from tests.support.outside import Outside, make_outside
from tests.support.watching import Leaks, settle

REPORT_EVERY = 30.0
"""Seconds between two lines of the report."""
GROWTH = {"megabytes": (1.1, 8), "objects": (1.03, 500), "threads": (1.0, 2), "files": (1.0, 2)}
"""How much more, as a factor and in number, may be held at the end than at the beginning."""


@dataclass
class Sample:
    """What the process held after one round."""

    megabytes: float
    objects: int
    threads: int
    files: int


@dataclass
class Soak:
    """Rounds of load on one database until the time is over."""

    outside: Outside
    seed: str
    seconds: float
    settings: Settings
    samples: list[Sample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    rounds: int = 0

    async def run(self) -> None:
        """Run rounds until the time is over, or one is wrong; then look at everything."""
        leaks = Leaks()
        loop = asyncio.get_running_loop()
        leaks.listen(loop)
        outside, settings = self.outside, self.settings
        database = databases.Database(outside.url, **options(outside.case, settings))
        await database.connect()
        started = reported = time.monotonic()
        while time.monotonic() - started < self.seconds and not self.problems:
            prepare(outside)
            load = Load(database, outside, f"{self.seed}.{self.rounds}", settings)
            self.problems += await load.run()
            self.counts += load.counts
            self.rounds += 1
            del load
            gc.collect()
            self.samples.append(_sample())
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                self._report(reported - started)
        if time.monotonic() - reported > 1:
            self._report(time.monotonic() - started)
        await self._conclude(database)
        self.problems += await settle(leaks.found, 5)
        self.problems += [f"complaint: {text}" for text in leaks.complaints]

    async def _conclude(self, database: databases.Database) -> None:
        await _checked(self.problems, works(database, self.outside, 5), "it does not work")
        places = has_places(database, self.settings.places)
        await _checked(self.problems, places, "places are missing")
        await _checked(self.problems, asyncio.wait_for(database.disconnect(), 15), "disconnect()")
        self.problems += [f"session left: {one}" for one in await settle(self.outside.sessions, 5)]
        self.problems += self._growth()

    def _growth(self) -> list[str]:
        """Compare the second quarter with the last: the first one fills caches."""
        quarter = len(self.samples) // 4
        if quarter < 3:
            return []
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        grown = []
        for name, (factor, number) in GROWTH.items():
            before, after = (
                statistics.median(getattr(sample, name) for sample in samples)
                for samples in (early, late)
            )
            if after > before * factor and after > before + number:
                grown.append(f"{name} grew from {before:.0f} to {after:.0f}")
        return grown

    def _report(self, seconds: float) -> None:
        last = self.samples[-1]
        told = ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
        say(
            f"{seconds:6.0f} s  round {self.rounds}  {last.megabytes:.1f} MB  "
            f"{last.objects} objects  {last.threads} threads  {last.files} files  ({told})"
        )


async def _checked(problems: list[str], work: asyncio.Future[None] | object, what: str) -> None:
    try:
        await work  # type: ignore[misc]
    except BaseException as error:
        problems.append(f"{what}: {error!r}")


def say(text: str) -> None:
    """Print *text* at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _sample() -> Sample:
    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[1])
    return Sample(
        megabytes=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        objects=len(gc.get_objects()),
        threads=threading.active_count(),
        files=len(list(pathlib.Path("/proc/self/fd").iterdir())),
    )


@contextlib.contextmanager
def _outside(driver: str, url: str | None, folder: pathlib.Path) -> Iterator[Outside]:
    """Give a fresh database for *driver*, on a server of its own if there is no other."""
    with contextlib.ExitStack() as stack:
        cases = {case.name: case for case in load_drivers(url)}
        capabilities = DRIVERS[driver].capabilities
        if driver in cases:
            case = cases[driver]
        elif driver == "aiosqlite":
            case = DriverCase(driver, f"sqlite+aiosqlite:///{folder}/soak.db", capabilities)
        else:
            case = DriverCase(driver, "", capabilities)
            server = RestartableServer(RECIPES[case.dialect])
            stack.callback(server.close)
            case = DriverCase(driver, server.url(case), capabilities)
        outside = make_outside(case, folder, 0)
        stack.callback(outside.drop)
        yield outside


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--driver", choices=list(DRIVERS), required=True)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--url", help="the database; it makes another one beside it")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--places", type=int, default=4, help="connections of the pool")
    given = parser.parse_args(arguments)
    # It tells of each rollback that met an ended session.
    logging.getLogger("databases").setLevel(logging.CRITICAL)

    with tempfile.TemporaryDirectory(prefix="databases-soak-") as folder:
        with _outside(given.driver, given.url, pathlib.Path(folder)) as outside:
            settings = Settings(
                places=given.places,
                workers=given.workers,
                kills=0.02 if outside.case.can("server") else 0.0,
            )
            say(f"{given.driver}: seed {given.seed}")
            soak = Soak(outside, given.seed, given.minutes * 60, settings)
            asyncio.run(soak.run())
    for problem in soak.problems:
        say(f"wrong: {problem}")
    say(f"seed {given.seed}: {'failed' if soak.problems else 'all invariants hold'}")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
