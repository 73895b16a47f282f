"""Run the tour of the library, or the notes service.

    scripts/demo [DATABASE_URL]                        the tour: examples/quickstart.py
    scripts/demo --serve [DATABASE_URL] [--port N]     the service: examples/notes_service

Without a URL both use SQLite. With one, what its driver needs is installed:
postgresql://user:password@localhost/name, mysql+asyncmy://..., and so on.
The environment is made in .venv.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import environment
from checkout import call_main, run, say


def main(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", nargs="?", metavar="DATABASE_URL", help="default: SQLite")
    parser.add_argument("--serve", action="store_true", help="start the notes service")
    parser.add_argument("--host", default="127.0.0.1", help="where it listens")
    parser.add_argument("--port", type=int, default=8000, help="where it listens (default: 8000)")
    request = parser.parse_args(arguments)

    extra = _extra(request.url)
    environment.ensure([extra, "examples"] if request.serve else [extra])
    python = environment.python_of(environment.MAIN)
    if not request.serve:
        return run([python, "examples/quickstart.py", *([request.url] if request.url else [])])

    if request.url:
        os.environ["DATABASE_URL"] = request.url
    address = f"http://{request.host}:{request.port}"
    elsewhere = "" if address == "http://127.0.0.1:8000" else f" --url {address}"
    say(f"the notes service starts at {address}/ (Ctrl-C ends it); put some users on it with")
    say(f"python3 examples/notes_service/load.py --users 50 --requests 2000{elsewhere}")
    return run(
        [
            *(python, "-m", "uvicorn", "examples.notes_service.app:app", "--no-access-log"),
            *("--host", request.host, "--port", str(request.port)),
        ]
    )


def _extra(url: str | None) -> str:
    """Name the extra that brings the driver of *url*."""
    scheme = (url or os.environ.get("DATABASE_URL") or "sqlite").partition(":")[0]
    dialect, _, driver = scheme.partition("+")
    # An extra that nobody knows would only be pip's warning; the library
    # says it better.
    if driver in {"asyncpg", "psycopg", "aiopg", "aiomysql", "asyncmy", "aiosqlite"}:
        return driver
    return {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}.get(
        dialect, "sqlite"
    )


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
