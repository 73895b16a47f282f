"""Run the tests on every driver, on real servers, and show what became of each driver.

    scripts/test [--without DRIVER ...] [--thorough] [PYTEST ARGUMENT ...]
    scripts/test --matrix[=VERSION,...] [--without DRIVER ...] [PYTEST ARGUMENT ...]

--without DRIVER  leave out asyncpg, psycopg, aiopg, aiomysql, asyncmy or aiosqlite;
                  without this, a driver that cannot be tested fails the run
--thorough        also the long tests
--matrix          repeat the tests of conformance and compatibility on every Python
                  from 3.10 to 3.13 on this machine: the oldest with the oldest
                  packages that are supported, the newest with the newest, one
                  between them with the newest SQLAlchemy 2.0; or on the versions named,
                  the lowest with the oldest packages, the others with the newest
others            go to pytest: scripts/test -k name tests/conformance

The environment is made in .venv. Servers: those of TEST_DATABASE_URLS, if set; else
docker compose, if a Docker daemon answers; else private ones, from the PostgreSQL and
MariaDB of this machine. What is missing is installed with apt-get on a Debian-like
system where that needs no password; PostgreSQL comes from PyPI otherwise. Everything
that was started is stopped again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import environment
import matrix
import table
from checkout import Failure, call_main
from drivers import SCHEMES, Target
from matrix_row import VERSIONS
from pytest_run import NO_DRIVER, Counts, Outcome, run_pytest
from servers import Servers

# Options of pytest that choose tests. What does not begin with a dash does, too.
_CHOOSING = (
    *("-k", "-m", "--lf", "--last-failed", "--sw", "--stepwise", "--deselect", "--ignore"),
    *("--co", "--pyargs", "--maxfail"),
)


@dataclass
class Request:
    """What the command line asks for."""

    without: set[str] = field(default_factory=set)
    matrix: Sequence[str] | None = None
    """The Pythons to run on; empty for all that there are, None for the usual one alone."""
    thorough: bool = False
    pytest: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether all tests are to run, so that coverage can be judged."""
        return all(word.startswith("-") and not word.startswith(_CHOOSING) for word in self.pytest)


def main(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for; give the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    request = read(arguments)
    environment.enter(["dev"], __file__, arguments)
    wanted = [driver for driver in SCHEMES if driver not in request.without]
    with Servers(wanted) as servers:
        variables = dict(servers.environment)
        if request.thorough:
            variables["TEST_THOROUGH"] = "1"
        if request.matrix is not None:
            return matrix.run_matrix(servers, variables, request.pytest, request.matrix)
        return _run_all(request, servers, variables)


def read(arguments: Sequence[str]) -> Request:
    """Understand the command line; what is not ours belongs to pytest."""
    request = Request()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--matrix":
            request.matrix = ()
        elif word.startswith("--matrix="):
            request.matrix = _versions(word.partition("=")[2].split(","))
        elif word == "--thorough":
            request.thorough = True
        elif word == "--without" or word.startswith("--without="):
            names = word.partition("=")[2] or (words.pop(0) if words else "")
            request.without |= _known(names.split(","))
            while words and words[0] in SCHEMES:
                request.without.add(words.pop(0))
        elif word == "--":
            request.pytest += words
            break
        else:
            request.pytest.append(word)
    return request


def _versions(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in VERSIONS:
            raise Failure(f"cannot run on Python {name!r}: the versions are {', '.join(VERSIONS)}")
    return names


def _known(names: Sequence[str]) -> set[str]:
    for name in names:
        if name not in SCHEMES:
            raise Failure(f"cannot leave out {name!r}: the drivers are {', '.join(SCHEMES)}")
    return set(names)


def _run_all(request: Request, servers: Servers, variables: dict[str, str]) -> int:
    full = request.is_full
    # With a driver left out, its code is not run: the figure says nothing.
    judged = ["--cov", "--cov-report=term"] if full else []
    if full and (request.without or servers.missing):
        judged.append("--cov-fail-under=0")
    python = environment.python_of(environment.MAIN)
    outcome = run_pytest(python, servers.targets, [*judged, *request.pytest], variables)
    outcomes = [(servers.targets, outcome)]
    if servers.further and full:
        # The same drivers on another server: only what is about a driver.
        arguments = ["tests/conformance", *request.pytest]
        again = run_pytest(python, servers.further, arguments, variables)
        again.drivers.pop(NO_DRIVER, None)
        outcomes.append((servers.further, again))
    return _report(request, servers, outcomes)


def _report(
    request: Request, servers: Servers, outcomes: Sequence[tuple[Sequence[Target], Outcome]]
) -> int:
    problems = []
    rows: list[tuple[object, ...]] = []
    for targets, outcome in outcomes:
        for target in targets:
            counts = outcome.drivers.get(target.driver, Counts())
            rows.append((target.driver, target.server, *_cells(counts)))
            if request.is_full and not counts.passed:
                problems.append(f"{target.driver} was not tested on {target.server}")
        if NO_DRIVER in outcome.drivers:
            rows.append((NO_DRIVER, "", *_cells(outcome.drivers[NO_DRIVER])))
        if outcome.code:
            problems.append(f"pytest ended with {outcome.code}")
    for driver, reason in servers.missing.items():
        rows.append((driver, "none", 0, 0, 0, reason))
        problems.append(
            f"{driver} could not be tested: {reason} (--without {driver} leaves it out)"
        )
    rows += [(driver, "left out", 0, 0, 0, "--without") for driver in sorted(request.without)]

    print()
    table.show(("driver", "server", "passed", "failed", "skipped", "reasons"), rows)
    print()
    _show_reasons(outcomes)
    for _, outcome in outcomes:
        if outcome.table:
            print(*outcome.table, "", sep="\n")
    for problem in problems:
        print(problem)
    totals = [outcome.total() for _, outcome in outcomes]
    passed, failed, skipped = (
        sum(getattr(total, name) for total in totals) for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if problems or failed else 0


def _cells(counts: Counts) -> tuple[object, ...]:
    ways = len(counts.reasons)
    said = "" if not ways else next(iter(counts.reasons)) if ways == 1 else f"{ways}, see below"
    return (counts.passed, counts.failed, counts.skipped, said)


def _show_reasons(outcomes: Sequence[tuple[Sequence[Target], Outcome]]) -> None:
    totals: dict[str, int] = {}
    for _, outcome in outcomes:
        for counts in outcome.drivers.values():
            for reason, number in counts.reasons.items():
                totals[reason] = totals.get(reason, 0) + number
    if totals:
        rows = sorted(totals.items(), key=lambda row: -row[1])
        table.show(("skipped", "because"), [(number, reason) for reason, number in rows])
        print()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        call_main(main, sys.argv[1:])
