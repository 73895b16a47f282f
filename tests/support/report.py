"""A pytest plugin that writes what became of the tests, per driver, for `scripts/test`.

python -m pytest -p tests.support.report --report-drivers report.json
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

NO_DRIVER = "(none)"
"""The name under which tests count that are not about one driver."""

TABLE = pytest.StashKey[Callable[[], list[str]]]()
"""In the configuration: gives the lines of a table for the end of the run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--report-drivers", metavar="FILE", help="write the outcome of each driver's tests as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--report-drivers"):
        config.pluginmanager.register(DriverReport(Path(path)), "driver-report")


def driver_of(item: pytest.Item) -> str:
    """Name the driver that *item* tests: its parameter ``driver``, by ``.name``."""
    callspec = getattr(item, "callspec", None)
    driver: Any = callspec.params.get("driver") if callspec is not None else None
    if driver is None:
        return NO_DRIVER
    return str(getattr(driver, "name", driver))


class DriverReport:
    """Counts one outcome per test, whatever its set-up, call and tear-down report."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._drivers: dict[str, str] = {}
        self._outcomes: dict[str, str] = {}
        self._reasons: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._drivers[item.nodeid] = driver_of(item)
        if report.failed:
            self._outcomes[item.nodeid] = "failed"
        elif report.skipped:
            self._outcomes.setdefault(item.nodeid, "skipped")
            self._reasons[item.nodeid] = _reason(report)
        elif report.when == "call":
            self._outcomes.setdefault(item.nodeid, "passed")
        return report

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        drivers: dict[str, Any] = {}
        for nodeid, outcome in self._outcomes.items():
            row = drivers.setdefault(self._drivers[nodeid], _empty_row())
            row[outcome] += 1
            if outcome == "skipped":
                row["reasons"][self._reasons[nodeid]] += 1
        table = session.config.stash.get(TABLE, list)()
        report = {"exit": int(exitstatus), "drivers": drivers, "table": table}
        self._path.write_text(json.dumps(report, indent=1), encoding="utf-8")


def _empty_row() -> dict[str, Any]:
    return {"passed": 0, "failed": 0, "skipped": 0, "reasons": Counter()}


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return "skipped"
