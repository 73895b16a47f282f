"""Build the wheel and try it, with each extra alone, in environments that have nothing else.

It ends with `N passed, N failed`: one for the wheel, one for each extra.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import environment
from checkout import ROOT, Failure, call_main, run_quietly, say, temporary_folder

MODULES = {
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
}
"""What each extra must bring; "" is the library alone."""

_TRY = """
import importlib.util, pathlib, sys
import databases

assert "site-packages" in databases.__file__, databases.__file__
assert pathlib.Path(databases.__file__).with_name("py.typed").exists()
drivers = {"asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy", "aiosqlite"}
found = {name for name in drivers if importlib.util.find_spec(name)}
assert found == set(sys.argv[1:]), found
assert not drivers & set(sys.modules), "importing databases imports a driver"
"""
_TRY_SQLITE = """
import asyncio, databases

async def main():
    async with databases.Database("sqlite://") as database:
        assert await database.fetch_val("SELECT 41 + :one", {"one": 1}) == 42

asyncio.run(main())
"""
_TRY_WITHOUT = """
import databases

for scheme in ("sqlite", "postgresql", "postgresql+psycopg", "mysql+asyncmy"):
    try:
        databases.Database(scheme + "://localhost/name")
    except ImportError as error:
        assert "databases[" in str(error), error
    else:
        raise AssertionError(scheme + " needs no driver?")
"""


def main(_: Sequence[str]) -> int:
    """Try everything; give the exit code."""
    passed, failed = 0, 0
    with temporary_folder("wheel") as name:
        folder = Path(name)
        say("building the wheel")
        wheel = _build(folder)
        passed += 1
        for extra, modules in MODULES.items():
            say(f"databases[{extra}]" if extra else "databases without an extra")
            try:
                _try(folder / f"with-{extra}", wheel, extra, modules)
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
    return next(folder.glob("*.whl"))


def _try(folder: Path, wheel: Path, extra: str, modules: Sequence[str]) -> None:
    run_quietly(
        [environment.BASE_PYTHON, "-m", "venv", folder], cannot="cannot make an environment"
    )
    python = environment.python_of(folder)
    run_quietly(
        [
            *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            f"{wheel}[{extra}]" if extra else wheel,
        ],
        cannot=f"cannot install databases[{extra}]",
    )
    programs = [_TRY]
    if "aiosqlite" in modules:
        programs.append(_TRY_SQLITE)
    if not modules:
        programs.append(_TRY_WITHOUT)
    for program in programs:
        # -I: the checkout must not be what is imported.
        run_quietly(
            [python, "-I", "-W", "error", "-c", program, *modules],
            cannot=f"cannot use databases[{extra}]",
        )


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
