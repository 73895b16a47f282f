"""Fixtures of the fault tests, and the tables at the end of the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType

import pytest
import sqlalchemy as sa

from tests.conftest import Outsides
from tests.faults.score import NO_DRIVER, Score
from tests.support.drivers import NO_SERVERS, DriverCase, skip_reason
from tests.support.network import Network, broken_network
from tests.support.outside import Outside
from tests.support.report import TABLE

TIME_LIMIT = 60
"""Longest time, in seconds, that a test may take, unless its mark `time_limit` gives it more."""

SCORE = pytest.StashKey[Score]()


KINDS = {"fault": "faults survived", "law": "laws held"}
"""Marks of the tests that are counted, and what the table calls them."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of these tests."""
    config.addinivalue_line("markers", "time_limit(seconds): longer than the usual limit")
    for mark, name in KINDS.items():
        config.addinivalue_line("markers", f"{mark}: counted as one of the {name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long tests to `scripts/test --thorough`."""
    if os.environ.get("TEST_THOROUGH"):
        return
    skip = pytest.mark.skip(reason="long: only with --thorough")
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count the outcome of the tests of each kind."""
    report = yield
    for mark, name in KINDS.items():
        if item.get_closest_marker(mark) and not report.skipped:
            counts = _score(item.config)
            callspec = getattr(item, "callspec", None)
            driver = str(callspec.params.get("driver", NO_DRIVER)) if callspec else NO_DRIVER
            counts.ended(name, driver, item.nodeid, report.when or "", failed=report.failed)
    return report


def _score(config: pytest.Config) -> Score:
    if SCORE not in config.stash:
        config.stash[SCORE] = Score()
        config.stash[TABLE] = config.stash[SCORE].lines
    return config.stash[SCORE]


@pytest.fixture
def score(request: pytest.FixtureRequest) -> Score:
    """Give what this run counts."""
    return _score(request.config)


@pytest.fixture
def driver(request: pytest.FixtureRequest, outsides: Outsides) -> Iterator[DriverCase]:
    """Give the driver under test, as the other tests have it, with more time."""
    case: DriverCase | None = request.param
    if case is None:
        pytest.fail(NO_SERVERS, pytrace=False)
    case = outsides.complete(case)
    if reason := skip_reason(case, request.node):
        pytest.skip(reason)
    marker = request.node.get_closest_marker("time_limit")
    with time_limit(marker.args[0] if marker else TIME_LIMIT):
        yield case


@pytest.fixture
def network(outside: Outside) -> Iterator[Network]:
    url = sa.make_url(outside.url)
    assert url.host is not None
    assert url.port is not None
    with broken_network(url.host, url.port) as network:
        yield network
    # Before the outside looks for sessions: what is behind a dead network
    # cannot have been ended from this side.


@pytest.fixture
def far_url(outside: Outside, network: Network) -> str:
    url = sa.make_url(outside.url).set(port=network.port)
    return url.render_as_string(hide_password=False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was counted, unless `scripts/test` does so at its own end."""
    score = config.stash.get(SCORE, None)
    if score is not None and not config.getoption("--report-drivers", None):
        terminalreporter.section("faults")
        for line in score.lines():
            terminalreporter.write_line(line)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise in the main thread when the block takes longer than *seconds*.

    Again every few seconds while an event loop runs: what is raised inside one
    of its callbacks is only logged. Not without a loop: pytest may already be
    writing its report.
    """
    is_late = False

    def give_up(signal_number: int, frame: FrameType | None) -> None:
        nonlocal is_late
        if not is_late or asyncio._get_running_loop() is not None:
            is_late = True
            raise TimeoutError(f"the test did not end within {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, 3)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
