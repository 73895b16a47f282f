"""What the fault tests count, and the tables of it at the end of the run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

Write = Callable[[str], None]


@dataclass
class Score:
    """Counts of one run of the tests."""

    points: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Points swept: operation, driver, number."""
    unclean: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    outcomes: dict[str, dict[str, dict[str, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """Whether each test held: kind, driver, test."""
    inputs: Counter[str] = field(default_factory=Counter)
    """Random inputs tried, per property."""

    def swept(self, driver: str, operation: str, points: int, unclean: int) -> None:
        self.points[operation][driver] += points
        self.unclean[operation][driver] += unclean

    def ended(self, kind: str, driver: str, test: str, when: str, *, failed: bool) -> None:
        """Note what became of a phase of *test*; all its phases must hold."""
        if when == "call" or failed:
            outcomes = self.outcomes[kind][driver]
            outcomes[test] = outcomes.get(test, True) and not failed

    def show(self, write: Write) -> None:
        """Write the tables that have anything in them."""
        if self.points:
            write("cancellation points clean / swept")
            _table(write, self.points, self.unclean)
        if self.outcomes:
            tried: dict[str, Counter[str]] = defaultdict(Counter)
            wrong: dict[str, Counter[str]] = defaultdict(Counter)
            for kind, drivers in self.outcomes.items():
                for driver, outcomes in drivers.items():
                    tried[kind][driver] = len(outcomes)
                    wrong[kind][driver] = sum(not held for held in outcomes.values())
            write("held / tried")
            _table(write, tried, wrong)
        for name, number in sorted(self.inputs.items()):
            write(f"inputs tried: {number} ({name})")


def _table(write: Write, tried: dict[str, Counter[str]], wrong: dict[str, Counter[str]]) -> None:
    columns = list(dict.fromkeys(driver for row in tried.values() for driver in row))
    rows = [["", *columns]]
    for name, counts in [*tried.items(), ("all", sum(tried.values(), Counter()))]:
        bad = wrong.get(name, Counter()) if name != "all" else sum(wrong.values(), Counter())
        cells = [
            f"{counts[column] - bad[column]}/{counts[column]}" if counts[column] else "-"
            for column in columns
        ]
        rows.append([name, *cells])
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns) + 1)]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        write("  ".join([first.strip().ljust(widths[0]), *rest]))
