"""The six drivers: the schemes of their URLs, and what their server says it is."""

from __future__ import annotations

import sqlite3
import urllib.parse
from dataclasses import dataclass

from checkout import Failure

SCHEMES = {
    "aiosqlite": "sqlite+aiosqlite",
    "asyncpg": "postgresql+asyncpg",
    "psycopg": "postgresql+psycopg",
    "aiopg": "postgresql+aiopg",
    "aiomysql": "mysql+aiomysql",
    "asyncmy": "mysql+asyncmy",
}
POSTGRESQL = ("asyncpg", "psycopg", "aiopg")
MYSQL = ("aiomysql", "asyncmy")
_SHORT = {
    "sqlite": "aiosqlite",
    "postgres": "asyncpg",
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
}


@dataclass(frozen=True)
class Target:
    """One driver on one server."""

    driver: str
    url: str
    server: str = ""


def parse_urls(text: str) -> dict[str, str]:
    """Sort the URLs of ``TEST_DATABASE_URLS`` by driver; short schemes get their driver's name."""
    urls: dict[str, str] = {}
    for url in filter(None, map(str.strip, text.split(","))):
        scheme, _, rest = url.partition("://")
        driver = _SHORT.get(scheme) or next(
            (name for name, known in SCHEMES.items() if known == scheme), None
        )
        if driver is None or "://" not in url:
            raise Failure(
                f"cannot use TEST_DATABASE_URLS: {scheme!r} is no scheme that is tested; "
                f"it may hold {', '.join(SCHEMES.values())}"
            )
        urls.setdefault(driver, f"{SCHEMES[driver]}://{rest}")
    return urls


def ask_server(driver: str, url: str) -> str:
    """Ask the server behind *url* for its name and version; raise what its driver raises."""
    if driver == "aiosqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    if driver in POSTGRESQL:
        return _ask_postgresql(url)
    return _ask_mysql(url)


def _ask_postgresql(url: str) -> str:
    import psycopg

    parts = urllib.parse.urlsplit(url)
    # The query may hold options that only another driver knows.
    plain = parts._replace(scheme="postgresql", query="connect_timeout=10", fragment="").geturl()
    with psycopg.connect(plain) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return f"PostgreSQL {str(row[0]).split()[0]}"


def _ask_mysql(url: str) -> str:
    import pymysql

    parts = urllib.parse.urlsplit(url)
    with (
        pymysql.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=urllib.parse.unquote(parts.username or "") or None,
            password=urllib.parse.unquote(parts.password or ""),
            connect_timeout=10,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT VERSION()")
        version = str(cursor.fetchone()[0])
    name = "MariaDB" if "MariaDB" in version else "MySQL"
    return f"{name} {version.partition('-')[0]}"
