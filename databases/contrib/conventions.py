"""Conventions: what OpenTelemetry calls the parts of an event.

Source: OpenTelemetry semantic conventions 1.44, database client calls.
"""

from __future__ import annotations

from databases.backends.common.rawsql import MYSQL, POSTGRESQL, SQLITE
from databases.backends.common.redaction import redacted
from databases.events import QueryEvent, Source, TransactionEvent

__all__ = [
    "BATCH_SIZE",
    "POOL_NAME",
    "POOL_STATE",
    "Attributes",
    "about_error",
    "about_query",
    "about_source",
    "about_transaction",
    "name_of",
    "pool_name",
    "text_of",
    "type_of",
]

Attributes = dict[str, str | int]

BATCH_SIZE = "db.operation.batch.size"
POOL_NAME = "db.client.connection.pool.name"
POOL_STATE = "db.client.connection.state"
SUMMARY_LENGTH = 255
"""Most characters of a summary."""
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
_SYNTAXES = {"postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL, "sqlite": SQLITE}
_TRANSACTION = {"begin": "BEGIN", "commit": "COMMIT", "rollback": "ROLLBACK"}
_SAVEPOINT = {
    "begin": "SAVEPOINT",
    "commit": "RELEASE SAVEPOINT",
    "rollback": "ROLLBACK TO SAVEPOINT",
}


def about_source(source: Source) -> Attributes:
    """Return the attributes of the database that an event comes from."""
    attributes: Attributes = {"db.system.name": source.system}
    if source.namespace is not None:
        attributes["db.namespace"] = source.namespace
    if source.address is not None:
        attributes["server.address"] = source.address
        if source.port is not None and source.port != _DEFAULT_PORTS.get(source.system):
            attributes["server.port"] = source.port
    return attributes


def about_transaction(event: TransactionEvent) -> Attributes:
    """Return the attributes of the beginning or the end of a transaction."""
    names = _TRANSACTION if event.depth == 1 else _SAVEPOINT
    return {"db.operation.name": names[event.operation]}


def about_query(event: QueryEvent) -> Attributes:
    """Return the attributes of a query, but for its text."""
    attributes: Attributes = {}
    is_batch = event.batch_size is not None and event.batch_size != 1
    operation = event.operation
    if event.batch_size is not None and is_batch:
        attributes[BATCH_SIZE] = event.batch_size
        operation = f"BATCH {operation}" if operation is not None else None
    if operation is not None:
        attributes["db.operation.name"] = operation
        if event.collection is not None:
            attributes["db.query.summary"] = f"{operation} {event.collection}"[:SUMMARY_LENGTH]
    if event.collection is not None:
        attributes["db.collection.name"] = event.collection
    return attributes


def text_of(event: QueryEvent) -> str | None:
    """Return the text, without literals where nothing says that it has parameters."""
    if event.is_parameterized:
        return event.sql
    syntax = _SYNTAXES.get(event.source.system)
    return None if syntax is None else redacted(event.sql, syntax)


def name_of(attributes: Attributes) -> str:
    """Return the name of a span, of what is known about its operation."""
    summary = attributes.get("db.query.summary")
    if summary is not None:
        return str(summary)
    target = attributes.get("db.namespace") or _address_of(
        attributes.get("server.address"), attributes.get("server.port")
    )
    words = [attributes.get("db.operation.name"), target]
    return " ".join(str(word) for word in words if word) or str(attributes["db.system.name"])


def about_error(error: BaseException) -> Attributes:
    """Return the attributes of what failed with *error*."""
    code = _status_code_of(error)
    if code is None:
        return {"error.type": type_of(error)}
    return {"error.type": code, "db.response.status_code": code}


def _status_code_of(error: BaseException) -> str | None:
    """Return the SQLSTATE, MySQL's number, or SQLite's name of *error*."""
    # First: asyncmy's errors have the SQLSTATE as well.
    if any(cls.__name__ == "MySQLError" for cls in type(error).__mro__):
        number = error.args[0] if error.args else None
        return str(number) if isinstance(number, int) else None
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code = getattr(error, name, None)
        if isinstance(code, str):
            return code
    return None


def type_of(error: BaseException) -> str:
    """Return the name of the class of *error*."""
    cls = type(error)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def pool_name(source: Source) -> str:
    """Return what the conventions advise for a pool without a name."""
    address = _address_of(source.address, source.port or _DEFAULT_PORTS.get(source.system))
    return "/".join(filter(None, [address, source.namespace])) or source.system


def _address_of(address: object, port: object) -> str | None:
    if not address:
        return None
    return f"{address}:{port}" if port else str(address)
