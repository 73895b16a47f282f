"""Virtual environments in the checkout, made anew only when what they are made of changes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from checkout import ROOT, Failure, run_quietly, say

MAIN = ROOT / ".venv"
STAMP = "databases-stamp.json"
BASE_PYTHON = os.path.realpath(sys.executable)
"""The Python outside any environment, even if this runs in one."""

# What an installed extra brings along, so that a small one asked for later
# does not start pip again.
_INCLUDED = {
    "dev": {"test", "all", "examples"},
    "test": {"all", "examples"},
    "all": {"asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy", "aiosqlite"},
    "postgresql": {"asyncpg"},
    "mysql": {"aiomysql"},
    "sqlite": {"aiosqlite"},
}


def python_of(folder: Path) -> Path:
    """Name the Python of the environment in *folder*."""
    return folder / "bin" / "python"


def ensure(
    extras: Sequence[str],
    *,
    folder: Path = MAIN,
    python: str = BASE_PYTHON,
    more: Sequence[str] = (),
) -> bool:
    """Have an environment in *folder* with the library and *extras*; say if that took work.

    *more* are further arguments for pip: constraints, packages. Several
    processes may ask at the same time: one makes it, the others wait.
    """
    digest = _digest(python, more)
    with _locked(folder):
        installed = _read_stamp(folder, digest)
        missing = [extra for extra in extras if extra not in _with_included(installed or set())]
        if installed is not None and not missing:
            return False
        if installed is None:
            _make(folder, python)
        # What is there stays there: pip upgrades nothing that still fits.
        wanted = sorted({*(installed or ()), *missing})
        _install(folder, wanted, more)
        stamp = {"digest": digest, "extras": wanted}
        (folder / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return True


def enter(extras: Sequence[str], program: str, arguments: Sequence[str]) -> None:
    """Go on in the environment: run *program* again there, unless it is there already."""
    changed = ensure(extras)
    if changed or Path(sys.prefix).resolve() != MAIN.resolve():
        sys.stdout.flush()
        python = str(python_of(MAIN))
        os.execv(python, [python, "-B", program, *arguments])


def _make(folder: Path, python: str) -> None:
    stamp = folder / STAMP
    if folder.exists() and not stamp.exists():
        raise Failure(
            f"cannot make the environment {folder}: there is one that was not made by these "
            "scripts; move it away first"
        )
    say(f"making the environment {folder.relative_to(ROOT)}")
    shutil.rmtree(folder, ignore_errors=True)
    # Empty at first: an environment left half made is known as ours.
    folder.mkdir(parents=True)
    stamp.touch()
    try:
        run_quietly([python, "-m", "venv", folder], cannot="cannot make the environment")
    except Failure as failure:
        raise Failure(
            f"{failure}\ninstall the module `venv` (on Debian and Ubuntu: apt-get install "
            "python3-venv)"
        ) from None


def _install(folder: Path, extras: Sequence[str], more: Sequence[str]) -> None:
    say(f"installing databases[{','.join(extras)}]")
    run_quietly(
        [
            *(python_of(folder), "-m", "pip", "install", "--no-input", "--quiet"),
            *("--disable-pip-version-check", "--editable", f"{ROOT}[{','.join(extras)}]", *more),
        ],
        cannot="cannot install the library",
        limit=900,
    )


def _digest(python: str, more: Sequence[str]) -> str:
    # An environment must not be moved or shared by several Pythons, and is
    # out of date when the dependencies change.
    parts = [
        str(ROOT),
        os.path.realpath(python),
        *more,
        (ROOT / "pyproject.toml").read_text("utf-8"),
    ]
    parts += [Path(word).read_text("utf-8") for word in more if word.endswith(".txt")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read_stamp(folder: Path, digest: str) -> set[str] | None:
    try:
        stamp = json.loads((folder / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if stamp.get("digest") != digest or not os.access(python_of(folder), os.X_OK):
        return None
    return set(stamp["extras"])


def _with_included(extras: set[str]) -> set[str]:
    included = set(extras)
    for extra in ("dev", "test", "all", "postgresql", "mysql", "sqlite"):
        if extra in included:
            included |= _INCLUDED[extra]
    return included


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that makes {folder.relative_to(ROOT)}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
