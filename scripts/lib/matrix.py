"""The tests of behaviour on every Python of this machine, with old and with new packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import environment
import table
from checkout import ROOT, SCRIPTS, Failure, say
from drivers import SCHEMES
from pytest_run import Counts, Outcome, run_pytest
from servers import Servers

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
TESTS = ("tests/conformance", "tests/compat", "tests/unit")
FOLDER = ROOT / ".venv-matrix"
OLDEST = SCRIPTS / "oldest.txt"
_SHOWN = ("sqlalchemy", *SCHEMES)


@dataclass(frozen=True)
class Row:
    """One Python with one choice of packages."""

    version: str
    python: str
    oldest: bool

    @property
    def folder(self) -> Path:
        """Name the folder of its environment."""
        return FOLDER / f"{self.version}{'-oldest' if self.oldest else ''}"

    @property
    def name(self) -> str:
        """Name the row for the user."""
        return f"{self.version}, {'oldest' if self.oldest else 'newest'} packages"


def run_matrix(servers: Servers, variables: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the tests on each row, show a table, and give the exit code."""
    tests = [name for name in TESTS if (ROOT / name).is_dir()]
    results: list[tuple[Row, str, Outcome]] = []
    problems = [
        f"{driver} could not be tested: {reason} (--without {driver} leaves it out)"
        for driver, reason in servers.missing.items()
    ]
    for row in _rows():
        say(f"Python {row.name}")
        more = ("--constraint", str(OLDEST)) if row.oldest else ()
        try:
            environment.ensure(["test"], folder=row.folder, python=row.python, more=more)
        except Failure as failure:
            say(str(failure))
            problems.append(f"Python {row.name}: {str(failure).splitlines()[0]}")
            continue
        python = environment.python_of(row.folder)
        # Linters and coverage have had their turn; here only behaviour counts.
        words = ["-p", "no:cacheprovider", "--quiet", *tests, *arguments]
        outcome = run_pytest(python, servers.targets, words, variables)
        results.append((row, _packages(python), outcome))
    for row, _, outcome in results:
        if outcome.code:
            problems.append(f"Python {row.name}: pytest ended with {outcome.code}")
        problems += [
            f"Python {row.name}: {target.driver} was not tested"
            for target in servers.targets
            if not arguments and not outcome.drivers.get(target.driver, Counts()).passed
        ]
    if not results:
        problems.append(f"no Python of {', '.join(VERSIONS)} could run the tests")
    return _show(servers, results, problems)


def _show(
    servers: Servers, results: Sequence[tuple[Row, str, Outcome]], problems: Sequence[str]
) -> int:
    print()
    for row, packages, _ in results:
        print(f"Python {row.name}: {packages}")
    for target in servers.targets:
        print(f"{target.driver}: {target.server}")
    print()
    names = [target.driver for target in servers.targets]
    lines: list[list[object]] = []
    for row, _, outcome in results:
        total = outcome.total()
        cells = [_cell(outcome.drivers.get(name, Counts())) for name in names]
        lines.append([row.name, *cells, total.passed, total.failed, total.skipped])
    table.show(("Python", *names, "passed", "failed", "skipped"), lines)
    print()
    for problem in problems:
        print(problem)
    passed, failed, skipped = (
        sum(getattr(outcome.total(), name) for _, _, outcome in results)
        for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if problems or failed else 0


def _cell(counts: Counts) -> str:
    if counts.failed:
        return f"{counts.failed} failed"
    return f"{counts.passed} passed" if counts.passed else "not tested"


def _rows() -> list[Row]:
    """List what to run: the oldest Python with the oldest packages, the others with the newest."""
    found = [(version, python) for version in VERSIONS if (python := find_python(version))]
    rows = [Row(version, python, oldest=not index) for index, (version, python) in enumerate(found)]
    if len(rows) == 1:
        # A machine with one Python still gets both ends.
        rows.append(Row(rows[0].version, rows[0].python, oldest=False))
    return rows


def find_python(version: str) -> str | None:
    """Find a Python of *version* on the PATH or among pyenv's; None if there is none."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [
        shutil.which(f"python{version}"),
        shutil.which("python3"),
        environment.BASE_PYTHON,
    ]
    candidates += sorted(str(path) for path in root.glob(f"versions/{version}.*/bin/python"))
    for candidate in filter(None, candidates):
        if real := _real_python(candidate, version):
            return real
    return None


def _real_python(candidate: str, version: str) -> str | None:
    # A shim of pyenv is on the PATH also where it starts nothing.
    code = (
        "import json, os, sys, ensurepip; "
        "print(json.dumps(['%d.%d' % sys.version_info[:2], sys.version_info.releaselevel, "
        "os.path.realpath(sys.executable)]))"
    )
    try:
        done = subprocess.run(
            [candidate, "-c", code],
            check=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        found, level, real = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return str(real) if found == version and level == "final" else None


def _packages(python: Path) -> str:
    code = (
        "import importlib.metadata as m, sys; "
        "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    )
    done = subprocess.run(
        [python, "-c", code, *_SHOWN], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
