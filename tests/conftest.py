"""Fixtures: the driver under test, a fresh database on it, and a `Database` that is checked."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pathlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import pytest_asyncio

import databases
from databases.backends.common.statements import Statements
from tests.support.checks import checked_out, describe, eventually_none, other_tasks
from tests.support.drivers import NO_SERVERS, DriverCase, load_drivers, skip_reason
from tests.support.heard import Heard
from tests.support.outside import Outside, make_outside

TIME_LIMIT = 60
"""Longest time, in seconds, that a test on a driver may take: a dead-lock must not last."""

MakeDatabase = Callable[..., databases.Database]


class Outsides:
    """The databases made for this session: one per server driver, one per test on SQLite."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._made: dict[str, Outside] = {}

    def borrow(self, case: DriverCase) -> Outside:
        """Give the database of *case*, with empty tables."""
        if case.name not in self._made:
            self._made[case.name] = make_outside(case, self._folder, next(self._numbers))
        return self._made[case.name]

    def give_back(self, case: DriverCase) -> None:
        """Empty the database of *case*, or drop it where a fresh one is cheaper."""
        if case.can("file"):
            self._made.pop(case.name).drop()
        else:
            self._made[case.name].clean()

    def complete(self, case: DriverCase) -> DriverCase:
        """Add what only the running server can tell to the capabilities of *case*."""
        if not case.can("server"):
            return case
        found = case.capabilities | self.borrow(case).capabilities
        return dataclasses.replace(case, capabilities=found)

    def drop(self) -> None:
        """Drop every database."""
        for outside in self._made.values():
            outside.drop()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that skip by capability; size the cache of statements.

    TEST_QUERY_CACHE_SIZE=0 runs everything with the cache switched off.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it starts in the background ignore Ctrl-C, and the
        # processes of tests would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if size := os.environ.get("TEST_QUERY_CACHE_SIZE"):
        Statements.usual_size = int(size)
    config.addinivalue_line("markers", "requires(*capabilities): skip where a driver lacks one")
    if sys.version_info < (3, 11):
        # asyncio forgets to close its half of a TLS handshake that is cancelled.
        ignored = "ignore:unclosed transport <asyncio.sslproto:ResourceWarning"
        config.addinivalue_line("filterwarnings", ignored)
    config.addinivalue_line("markers", "lacks(*capabilities): skip where a driver has one")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `driver`, itself or through a fixture, once per driver."""
    if "driver" in metafunc.fixturenames:
        cases: list[DriverCase | None] = [*load_drivers()] or [None]
        ids = [str(case) if case else "no-servers" for case in cases]
        metafunc.parametrize("driver", cases, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def outsides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outsides]:
    """Keep the databases of this session, and drop them at its end."""
    kept = Outsides(tmp_path_factory.mktemp("sqlite"))
    yield kept
    kept.drop()


@pytest.fixture
def driver(request: pytest.FixtureRequest, outsides: Outsides) -> Iterator[DriverCase]:
    """Give the driver under test, or skip the test where it lacks what the test requires."""
    case: DriverCase | None = request.param
    if case is None:
        pytest.fail(NO_SERVERS, pytrace=False)
    case = outsides.complete(case)
    if reason := skip_reason(case, request.node):
        pytest.skip(reason)
    with time_limit(TIME_LIMIT):
        yield case


@pytest.fixture
def outside(driver: DriverCase, outsides: Outsides) -> Iterator[Outside]:
    """Look at the database from outside; afterwards nobody may be connected to it."""
    borrowed = outsides.borrow(driver)
    yield borrowed
    try:
        borrowed.check_left_alone()
    finally:
        outsides.give_back(driver)


@pytest.fixture
def url(outside: Outside) -> str:
    """Give the URL of a database with the shared tables, all empty."""
    return outside.url


@pytest_asyncio.fixture
async def make_database(outside: Outside) -> AsyncIterator[MakeDatabase]:
    """Make databases that are disconnected and checked after the test.

    ``make_database(url, **options)``; without a URL it is the driver's.
    Afterwards no connection may be checked out, no transaction open on the
    server and no task left. A database that is meant to hold a transaction
    (``force_rollback=True``) is only asked for the last two, once disconnected.
    """
    made: list[databases.Database] = []
    holding: set[int] = set()
    tasks_before = other_tasks()

    def make(url: str | None = None, **options: Any) -> databases.Database:
        made.append(databases.Database(url or outside.url, **options))
        if options.get("force_rollback"):
            holding.add(id(made[-1]))
        return made[-1]

    yield make

    try:
        connected = [database for database in made if database.is_connected]
        for database in connected:
            if id(database) not in holding:
                assert checked_out(database) == 0, "a connection is still checked out"
        if not holding:
            await eventually_none(outside.open_transactions, "transactions left open")
    finally:
        for database in made:
            await database.disconnect()
    left = describe(other_tasks() - tasks_before)
    assert not left, f"tasks left: {left}"
    await eventually_none(outside.open_transactions, "transactions left open")


@pytest_asyncio.fixture
async def database(make_database: MakeDatabase) -> databases.Database:
    """Give a connected database; see `make_database` for what is checked afterwards."""
    database = make_database()
    await database.connect()
    return database


@pytest.fixture
def heard(database: databases.Database) -> Heard:
    """Give the list of what the database tells."""
    heard = Heard()
    database.listen(heard.append)
    return heard


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise in the main thread when the block takes longer than *seconds*.

    Again every few seconds after that: what is raised inside a callback of the
    event loop is only logged.
    """

    def give_up(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test did not end within {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, 3)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
