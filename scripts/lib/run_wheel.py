"""Build the wheel and try it, with each extra alone, in environments that have nothing else.

It ends with `N passed, N failed`: one for the wheel, one for each extra.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import environment
from checkout import ROOT, Failure, call_main, run_quietly, say, temporary_folder

EXTRAS = {
    "": [],
    "asyncpg": ["asyncpg"],
    "postgresql": ["asyncpg"],
    "psycopg": ["psycopg"],
    "aiopg": ["aiopg"],
    "aiomysql": ["aiomysql"],
    "mysql": ["aiomysql"],
    "asyncmy": ["asyncmy"],
    "aiosqlite": ["aiosqlite"],
    "sqlite": ["aiosqlite"],
    "all": ["asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy", "aiosqlite"],
}
"""What each extra must bring, and nothing else; "" is the library alone."""

_IMPORT = """
import importlib.util, pathlib, sys
import databases
import databases.core, databases.interfaces, databases.importer, databases.errors

assert "site-packages" in databases.__file__, databases.__file__
assert pathlib.Path(databases.__file__).with_name("py.typed").exists()
drivers = {"asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy", "aiosqlite"}
found = {name for name in drivers if importlib.util.find_spec(name)}
assert found == set(sys.argv[1:]), found
assert not drivers & set(sys.modules), "importing databases imports a driver"
"""
_CHOOSE = """
import sys
import databases

SCHEMES = {
    "asyncpg": ("postgres", "postgresql", "postgresql+asyncpg"),
    "psycopg": ("postgresql+psycopg",),
    "aiopg": ("postgresql+aiopg",),
    "aiomysql": ("mysql", "mysql+aiomysql"),
    "asyncmy": ("mysql+asyncmy",),
    "aiosqlite": ("sqlite", "sqlite+aiosqlite"),
}
for driver, schemes in SCHEMES.items():
    for scheme in schemes:
        try:
            databases.Database(scheme + "://localhost/name")
        except ImportError as error:
            assert driver not in sys.argv[1:], f"{scheme}: {error!r}"
            assert f"databases[{driver}]" in str(error), f"{scheme}: {error!r}"
        else:
            assert driver in sys.argv[1:], f"{scheme} works without {driver}?"
"""
_QUERY = """
import asyncio, databases

async def main():
    async with databases.Database("sqlite://") as database:
        assert await database.fetch_val("SELECT 41 + :one", {"one": 1}) == 42

asyncio.run(main())
"""


def main(_: Sequence[str]) -> int:
    """Try everything; give the exit code."""
    passed, failed = 0, 0
    with temporary_folder("wheel") as name:
        folder = Path(name)
        say("building the wheel")
        wheel = _build(folder)
        passed += 1
        _make_environment(folder / "alone", wheel)
        for extra, modules in EXTRAS.items():
            say(f"databases[{extra}]" if extra else "databases without an extra")
            try:
                _try(folder, wheel, extra, modules)
                passed += 1
            except Failure as failure:
                print(failure, flush=True)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _build(folder: Path) -> Path:
    python = environment.BASE_PYTHON
    run_quietly([python, "-m", "venv", folder / "build"], cannot="cannot make an environment")
    run_quietly(
        [
            *(environment.python_of(folder / "build"), "-m", "pip", "wheel", "--quiet"),
            *("--disable-pip-version-check", "--no-deps", "--wheel-dir", folder, ROOT),
        ],
        cannot="cannot build the wheel",
    )
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    if strays := [name for name in names if not name.startswith(("databases/", "databases-"))]:
        raise Failure(f"cannot use the wheel: it brings {strays[0]}")
    if not any(name.endswith("LICENSE.md") for name in names):
        raise Failure("cannot use the wheel: it lacks the licence")
    return wheel


def _make_environment(folder: Path, wheel: Path) -> None:
    """Make an environment with the library alone: the others begin as its copies."""
    run_quietly(
        [environment.BASE_PYTHON, "-m", "venv", folder], cannot="cannot make an environment"
    )
    _install(folder, str(wheel))


def _install(folder: Path, what: str) -> None:
    run_quietly(
        [
            *(environment.python_of(folder), "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--disable-pip-version-check", what),
        ],
        cannot=f"cannot install {what}",
    )


def _try(folder: Path, wheel: Path, extra: str, modules: Sequence[str]) -> None:
    place = folder / f"with-{extra}"
    # An environment finds itself by where it is: a copy is as good as a new
    # one, and made in a tenth of the time.
    shutil.copytree(folder / "alone", place, symlinks=True)
    if extra:
        _install(place, f"{wheel}[{extra}]")
    python = environment.python_of(place)
    run_quietly([python, "-m", "pip", "check"], cannot=f"cannot use databases[{extra}]")
    for program in (_IMPORT, _CHOOSE, *([_QUERY] if "aiosqlite" in modules else [])):
        # -I: the checkout must not be what is imported.
        run_quietly(
            [python, "-I", "-W", "error", "-c", program, *modules],
            cannot=f"cannot use databases[{extra}]",
        )


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
