"""What the fault tests count, and the table of it at the end of the run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

NO_DRIVER = "(none)"
"""The column of the tests that are not about one driver."""

Counts = dict[str, Counter[str]]
Section = tuple[str, list[tuple[str, dict[str, str]]]]
"""A title, and rows: a name, and a cell per driver."""


def _counts() -> Counts:
    return defaultdict(Counter)


@dataclass
class Score:
    """Counts of one run of the tests: by name of the row, by driver."""

    points: Counts = field(default_factory=_counts)
    """Cancellation points swept, per operation."""
    unclean: Counts = field(default_factory=_counts)
    outcomes: dict[str, dict[str, dict[str, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """Whether each test held: kind, driver, test."""
    inputs: Counts = field(default_factory=_counts)
    """Random inputs tried, per property."""

    def swept(self, driver: str, operation: str, points: int, unclean: int) -> None:
        self.points[operation][driver] += points
        self.unclean[operation][driver] += unclean

    def ended(self, kind: str, driver: str, test: str, when: str, *, failed: bool) -> None:
        """Note what became of a phase of *test*; all its phases must hold."""
        if when == "call" or failed:
            outcomes = self.outcomes[kind][driver]
            outcomes[test] = outcomes.get(test, True) and not failed

    def tried(self, name: str, driver: str = NO_DRIVER) -> None:
        """Count a random input of the property *name*."""
        self.inputs[name][driver] += 1

    def lines(self) -> list[str]:
        """Give the table: what held of what was tried, one column per driver."""
        sections: list[Section] = []
        if self.points:
            rows = [(name, _shares(self.points[name], self.unclean[name])) for name in self.points]
            points, unclean = _sum(self.points), _sum(self.unclean)
            rows.append((f"all {len(self.points)} operations", _shares(points, unclean)))
            sections.append(("cancellation points clean / swept", rows))
        if self.outcomes:
            rows = [(kind, _held(self.outcomes[kind])) for kind in sorted(self.outcomes)]
            sections.append(("tests that held / that ran", rows))
        if self.inputs:
            texts = {
                name: {driver: str(number) for driver, number in counts.items()}
                for name, counts in self.inputs.items()
            }
            sections.append(("random inputs tried", sorted(texts.items())))
        return _table(sections)


def _sum(counts: Counts) -> Counter[str]:
    return sum(counts.values(), Counter())


def _shares(tried: Counter[str], bad: Counter[str]) -> dict[str, str]:
    return {driver: f"{number - bad[driver]}/{number}" for driver, number in tried.items()}


def _held(drivers: Mapping[str, Mapping[str, bool]]) -> dict[str, str]:
    return {driver: f"{sum(tests.values())}/{len(tests)}" for driver, tests in drivers.items()}


def _table(sections: list[Section]) -> list[str]:
    seen = [driver for _, rows in sections for _, cells in rows for driver in cells]
    drivers = sorted(dict.fromkeys(seen), key=lambda driver: driver == NO_DRIVER)
    lines: list[list[str]] = []
    for title, rows in sections:
        lines.append([title, *drivers])
        lines += [[f"  {name}", *(cells.get(one, "-") for one in drivers)] for name, cells in rows]
    if not lines:
        return []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]  # numbers to the right
        )
        for first, *rest in lines
    ]
