"""The environment with databases 0.9.0 and the other peers, made on request."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["interpreter", "make"]

CACHE = Path(__file__).parent / ".cache"
_NEEDED = (
    "databases==0.9.0 greenlet psycopg_pool aiosqlite asyncpg psycopg[binary] aiopg "
    "psycopg2-binary async-timeout<5 aiomysql pymysql<1.2 asyncmy cryptography uvloop "
    "tortoise-orm>=1.1,<2"
).split()


def interpreter(given: str | None) -> str:
    """Return the interpreter that the contenders run on.

    The one *given*, that of BENCHMARKS_PYTHON, that of the environment `make`
    made, or the current one.
    """
    for path in (given, os.environ.get("BENCHMARKS_PYTHON"), str(_python(_folder()))):
        if path and (path in (given, os.environ.get("BENCHMARKS_PYTHON")) or Path(path).exists()):
            return path
    return sys.executable


def make() -> str:
    """Make the environment, with the versions installed here; return its interpreter.

    Raises `subprocess.CalledProcessError` when a package cannot be installed.
    """
    folder = _folder()
    python = _python(folder)
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run(
        [
            *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *(_pinned(name) for name in [*_NEEDED, "sqlalchemy>=2.0.7,<2.2"]),
        ],
        check=True,
    )
    return str(python)


def _pinned(requirement: str) -> str:
    """Return *requirement* at the version that is installed here, so that all run the same."""
    name = requirement.partition("[")[0]
    for sign in "=<>":
        name = name.partition(sign)[0]
    if "==" in requirement:
        return requirement
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return requirement
    extra = requirement[requirement.find("[") : requirement.find("]") + 1]
    return f"{name}{extra}=={version}"


def _folder() -> Path:
    return CACHE / f"peers-{sys.version_info[0]}.{sys.version_info[1]}"


def _python(folder: Path) -> Path:
    if sys.platform == "win32":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"
