"""One run of pytest with the drivers named, and what became of each driver."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checkout import run, temporary_folder
from drivers import Target

NO_DRIVER = "(none)"


@dataclass
class Counts:
    """What became of some tests; *reasons* counts why some were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.passed or self.failed or self.skipped)


@dataclass
class Outcome:
    """What became of a run. ``code`` is pytest's own; *drivers* is empty if it broke down."""

    code: int
    drivers: dict[str, Counts]
    table: list[str] = field(default_factory=list)
    """Lines that the tests want to be shown at the end."""

    def total(self) -> Counts:
        """Add up all drivers, and the tests of none."""
        counts = self.drivers.values()
        return Counts(
            sum(one.passed for one in counts),
            sum(one.failed for one in counts),
            sum(one.skipped for one in counts),
        )


def run_pytest(
    python: Path,
    targets: Collection[Target],
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> Outcome:
    """Run pytest on *targets*, showing what it prints."""
    # In memory if possible: each test on SQLite makes a file, and waits for the disk.
    with temporary_folder("pytest", in_memory=True) as folder:
        report = Path(folder) / "report.json"
        code = run(
            [
                *(str(python), "-m", "pytest", "-p", "tests.support.report"),
                *("--report-drivers", str(report), f"--basetemp={folder}/tests", *arguments),
            ],
            last_act=report,
            **{
                **environment,
                "TEST_DATABASE_URLS": ",".join(target.url for target in targets),
            },
        )
        try:
            found = json.loads(report.read_text("utf-8"))
        except (OSError, ValueError):
            found = {"drivers": {}, "table": []}
    drivers = {name: Counts(**row) for name, row in found["drivers"].items()}
    return Outcome(code, drivers, found["table"])
