"""The drivers under test: where their servers are, and what each of them can do."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

ENVIRONMENT_VARIABLE = "TEST_DATABASE_URLS"

NO_SERVERS = (
    f"cannot run this test: {ENVIRONMENT_VARIABLE} is not set; run scripts/test, which starts "
    "the servers and sets it, or name them yourself, separated by commas "
    "(sqlite+aiosqlite:///test.db,postgresql+asyncpg://user:password@host:port/database,...)"
)

CAPABILITIES = {
    "arrays": "has array columns",
    "backslash_escapes": "reads backslashes in string literals as escapes",
    "casts": "has the ::type cast",
    "charsets": "has a character set for each connection",
    "checks_passwords": "the server under test refuses a wrong password",
    "cursors": "has raw connections with PEP 249 shaped cursors",
    "deferrable": "has deferrable transactions",
    "dollar_quotes": "has dollar-quoted strings",
    "empty_rows": "has rows without columns",
    "file": "keeps its database in a local file",
    "hosts": "can be given several hosts",
    "insert_returns_key": "execute() of a Core insert gives the new primary key",
    "insert_returning": "the server has INSERT ... RETURNING",
    "isolation_levels": "has selectable isolation levels",
    "modes": "has transaction modes (deferred, immediate, exclusive)",
    "native_json": "keeps JSON apart from text",
    "raw_insert_returns_key": "execute() of a raw insert gives the last row id",
    "readonly": "has read-only transactions",
    "scripts": "can send several statements at once",
    "select_returns_value": "execute() of a select gives the first column of the first row",
    "sequences": "has sequences",
    "server": "is a server that many connections share",
    "session_name": "shows the name that a client gives its session",
    "stops_statements": "keeps its connection when a statement is given up",
    "timezones": "keeps the time zone of a timestamp",
    "tls": "the server under test offers TLS",
    "transactional_ddl": "rolls back DDL",
    "update_returning": "the server has UPDATE ... RETURNING",
}
"""What a driver with its server may be able to do. Tests ask for these, never for a driver."""

SERVER_CAPABILITIES = frozenset({"checks_passwords", "insert_returning", "tls"})
"""Capabilities that only the running server can tell: see ``Outside.capabilities``."""

_POSTGRESQL = {
    "arrays",
    "casts",
    "deferrable",
    "dollar_quotes",
    "empty_rows",
    "insert_returning",
    "isolation_levels",
    "native_json",
    "readonly",
    "scripts",
    "sequences",
    "server",
    "session_name",
    "timezones",
    "transactional_ddl",
    "update_returning",
}
_MYSQL = {
    "backslash_escapes",
    "charsets",
    "cursors",
    "insert_returns_key",
    "isolation_levels",
    "raw_insert_returns_key",
    "readonly",
    "scripts",
    "server",
}
_SQLITE = {
    "cursors",
    "file",
    "insert_returning",
    "insert_returns_key",
    "modes",
    "raw_insert_returns_key",
    "scripts",
    "stops_statements",
    "transactional_ddl",
    "update_returning",
}


@dataclass(frozen=True, slots=True)
class _Driver:
    scheme: str
    capabilities: frozenset[str]
    error: str
    integrity_error: str
    sync_scheme: str


def _postgresql(driver: str, error: str, integrity_error: str, *extra: str) -> _Driver:
    return _Driver(
        scheme=f"postgresql+{driver}",
        capabilities=frozenset(_POSTGRESQL.union(extra)),
        error=error,
        integrity_error=integrity_error,
        # Plain and blocking: the oldest psycopg that we support may stay in its
        # pipeline after a bulk insert, and then waits for ever.
        sync_scheme="postgresql+psycopg2",
    )


def _mysql(driver: str, errors: str) -> _Driver:
    return _Driver(
        scheme=f"mysql+{driver}",
        capabilities=frozenset(_MYSQL),
        error=f"{errors}:MySQLError",
        integrity_error=f"{errors}:IntegrityError",
        sync_scheme="mysql+pymysql",
    )


DRIVERS = {
    "aiosqlite": _Driver(
        scheme="sqlite+aiosqlite",
        capabilities=frozenset(_SQLITE),
        error="sqlite3:Error",
        integrity_error="sqlite3:IntegrityError",
        sync_scheme="sqlite",
    ),
    "asyncpg": _postgresql(
        "asyncpg",
        "asyncpg:PostgresError",
        "asyncpg:IntegrityConstraintViolationError",
        "hosts",
        "insert_returns_key",
        "select_returns_value",
        "stops_statements",
    ),
    "psycopg": _postgresql(
        "psycopg",
        "psycopg:Error",
        "psycopg:IntegrityError",
        "cursors",
        "hosts",
        "insert_returns_key",
        "select_returns_value",
        "stops_statements",
    ),
    "aiopg": _postgresql("aiopg", "psycopg2:Error", "psycopg2:IntegrityError", "cursors"),
    "aiomysql": _mysql("aiomysql", "pymysql.err"),
    "asyncmy": _mysql("asyncmy", "asyncmy.errors"),
}


@dataclass(frozen=True, slots=True)
class DriverCase:
    """One driver under test, with the URL of the server it is tested on."""

    name: str
    url: str
    capabilities: frozenset[str]

    def __str__(self) -> str:
        return self.name

    def can(self, capability: str) -> bool:
        """Say whether the driver with its server has *capability*."""
        if capability not in CAPABILITIES:
            raise LookupError(f"cannot tell: no such capability as {capability!r}")
        return capability in self.capabilities

    @property
    def dialect(self) -> str:
        """Give ``postgresql``, ``mysql`` or ``sqlite``."""
        return DRIVERS[self.name].scheme.partition("+")[0]

    @property
    def sync_scheme(self) -> str:
        """Give the SQLAlchemy scheme of a synchronous driver for the same server."""
        return DRIVERS[self.name].sync_scheme

    @property
    def error(self) -> type[Exception]:
        """Give the class of all errors that come from the database."""
        return _load(DRIVERS[self.name].error)

    @property
    def integrity_error(self) -> type[Exception]:
        """Give the driver's class for a violated constraint."""
        return _load(DRIVERS[self.name].integrity_error)

    def text(self, **by_dialect: str) -> str:
        """Choose the SQL text that is written for this driver's dialect."""
        return by_dialect[self.dialect]


def load_drivers(environment: str | None = None) -> Sequence[DriverCase]:
    """List the drivers named by the environment, in the order given.

    Without servers the list is empty. A URL whose driver is not one of
    ``DRIVERS`` raises ``LookupError`` with the known ones.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE, "") if environment is None else environment
    return [_case(url.strip()) for url in text.split(",") if url.strip()]


def requires(*capabilities: str) -> pytest.MarkDecorator:
    """Skip the test on a driver that lacks one of *capabilities*."""
    return pytest.mark.requires(*_known(capabilities))


def lacks(*capabilities: str) -> pytest.MarkDecorator:
    """Skip the test on a driver that has one of *capabilities*."""
    return pytest.mark.lacks(*_known(capabilities))


def skip_reason(case: DriverCase, node: pytest.Item) -> str | None:
    """Say why *node* cannot run on *case*, from its markers; None if it can."""
    for marker in node.iter_markers("requires"):
        for capability in marker.args:
            if not case.can(capability):
                return f"{case.name} lacks {capability}: {CAPABILITIES[capability]}"
    for marker in node.iter_markers("lacks"):
        for capability in marker.args:
            if case.can(capability):
                return f"{case.name} has {capability}: {CAPABILITIES[capability]}"
    return None


def _case(url: str) -> DriverCase:
    scheme = url.partition(":")[0]
    for name, driver in DRIVERS.items():
        if driver.scheme == scheme:
            return DriverCase(name, url, driver.capabilities)
    known = ", ".join(driver.scheme for driver in DRIVERS.values())
    raise LookupError(
        f"cannot test {scheme!r}: no such scheme; {ENVIRONMENT_VARIABLE} takes {known}"
    )


def _known(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise LookupError(f"cannot skip by {capability!r}: no such capability")
    return capabilities


def _load(reference: str) -> type[Exception]:
    module, _, attribute = reference.partition(":")
    found: type[Exception] = getattr(importlib.import_module(module), attribute)
    return found
