"""One Python with one choice of packages: its environment, and the tests in it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import environment
from checkout import ROOT, SCRIPTS, Failure, call_main
from drivers import SCHEMES, Target
from pytest_run import Counts, Outcome, run_pytest

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
TESTS = ("tests/conformance", "tests/compat")
FOLDER = ROOT / ".venv-matrix"

OLDEST = "oldest packages"
SQLALCHEMY_20 = "newest packages, SQLAlchemy 2.0"
NEWEST = "newest packages"
_FOR_PIP: dict[str, tuple[str, ...]] = {
    OLDEST: ("--constraint", str(SCRIPTS / "oldest.txt")),
    SQLALCHEMY_20: ("sqlalchemy<2.1",),
    NEWEST: (),
}
_SHOWN = ("sqlalchemy", *SCHEMES)


@dataclass(frozen=True)
class Row:
    """One Python with one choice of packages."""

    version: str
    python: str
    packages: str
    """One of OLDEST, SQLALCHEMY_20, NEWEST."""

    @property
    def folder(self) -> Path:
        """Name the folder of its environment."""
        words = {OLDEST: "-oldest", SQLALCHEMY_20: "-sqlalchemy20", NEWEST: ""}
        return FOLDER / f"{self.version}{words[self.packages]}"

    @property
    def name(self) -> str:
        """Name the row for the user."""
        return f"{self.version}, {self.packages}"


@dataclass
class RowResult:
    """What became of a row; *failure* says why its tests could not run."""

    row: Row
    packages: str = ""
    failure: str = ""
    outcome: Outcome = field(default_factory=lambda: Outcome(0, {}))


def main(arguments: Sequence[str]) -> int:
    """Run the row that another process described by ``encode``; write what became of it."""
    task = json.loads(arguments[0])
    row = Row(**task["row"])
    result: dict[str, object] = {}
    try:
        environment.ensure(
            ["test"], folder=row.folder, python=row.python, more=_FOR_PIP[row.packages]
        )
        python = environment.python_of(row.folder)
        result["packages"] = _packages(python)
        tests = [name for name in TESTS if (ROOT / name).is_dir()]
        # Coverage has had its turn; here only behaviour counts.
        words = ["-p", "no:cacheprovider", "--quiet", *tests, *task["arguments"]]
        targets = [Target(**target) for target in task["targets"]]
        result["outcome"] = dataclasses.asdict(run_pytest(python, targets, words, {}))
    except Failure as failure:
        print(failure, flush=True)
        result["failure"] = str(failure)
    Path(arguments[1], "result.json").write_text(json.dumps(result), "utf-8")
    return 0


def encode(row: Row, targets: Sequence[Target], arguments: Sequence[str]) -> str:
    """Describe a row and its task to ``main`` in another process."""
    task = {
        "row": dataclasses.asdict(row),
        "targets": [dataclasses.asdict(target) for target in targets],
        "arguments": list(arguments),
    }
    return json.dumps(task)


def decode(row: Row, folder: Path) -> RowResult:
    """Read what ``main`` wrote into *folder*."""
    try:
        found = json.loads((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError):
        return RowResult(row, failure="it ended before its time")
    if outcome := found.pop("outcome", None):
        drivers = {name: Counts(**counts) for name, counts in outcome["drivers"].items()}
        found["outcome"] = Outcome(outcome["code"], drivers)
    return RowResult(row, **found)


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


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
