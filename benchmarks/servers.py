"""Where the servers are: given, in TEST_DATABASE_URLS, or private ones for this run."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["MissingServerError", "server_for"]

_SCRIPTS = Path(__file__).parent.parent / "scripts" / "lib"
SCHEMES = {
    "sqlite": "sqlite+aiosqlite",
    "asyncpg": "postgresql+asyncpg",
    "psycopg": "postgresql+psycopg",
    "aiopg": "postgresql+aiopg",
    "aiomysql": "mysql+aiomysql",
    "asyncmy": "mysql+asyncmy",
}
_SHORT = {
    "asyncpg": ("postgresql", "postgres"),
    "aiomysql": ("mysql", "mariadb"),
}


class MissingServerError(Exception):
    """There is no server for a backend."""


@contextlib.contextmanager
def server_for(backend: str, given: str | None) -> Iterator[str]:
    """Give the URL of a database for *backend* while the block runs.

    Raises `MissingServerError` where there is none and none can be made.
    """
    if given:
        yield f"{SCHEMES[backend]}://{given.partition('://')[2]}"
    elif backend == "sqlite":
        # In memory where there is such a folder: the disk is not what is measured.
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="databases-bench-", dir=parent) as folder:
            yield f"sqlite+aiosqlite:///{folder}/bench.db"
    elif (url := _from_environment(backend)) is not None:
        yield url
    else:
        with _private(backend) as url:
            yield url


def _from_environment(backend: str) -> str | None:
    for url in os.environ.get("TEST_DATABASE_URLS", "").split(","):
        scheme, _, rest = url.strip().partition("://")
        if scheme == SCHEMES[backend] or scheme in _SHORT.get(backend, ()):
            return f"{SCHEMES[backend]}://{rest}"
    return None


@contextlib.contextmanager
def _private(backend: str) -> Iterator[str]:
    """Start the server that the test suite uses."""
    if not _SCRIPTS.is_dir():
        raise MissingServerError("give its --url, or set TEST_DATABASE_URLS")
    sys.path.insert(0, str(_SCRIPTS))
    try:
        servers: Any = importlib.import_module("servers")
        with servers.Servers({backend}) as running:
            urls = [target.url for target in running.targets if target.driver == backend]
            if not urls:
                raise MissingServerError(
                    f"{running.missing.get(backend, 'no server')}; give its --url"
                )
            yield urls[0]
    finally:
        sys.path.remove(str(_SCRIPTS))
