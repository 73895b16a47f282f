"""Loans: what a connection of SQLite keeps of the program that it was lent to, and must not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.backends.common.slots import no_news
from databases.backends.dialects.sqlite import forget_last_id, roll_back
from databases.backends.dialects.threads import leave, send

__all__ = [
    "changes_of",
    "end_session",
    "forget_rows",
    "lend",
    "put_state_back",
    "take_back",
    "watch",
]

_TEMPORARY = (
    "SELECT type, name FROM sqlite_temp_master "
    "WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)


def lend(raw: RawConnection, since: int | None = None) -> None:
    """Prepare *raw* for a program that does with it what it likes.

    *since* is what `changes_of` gave when the loan began; rows that were
    inserted after that are the program's own.
    """
    _remember_state(raw)
    if since is None or changes_of(raw) == since:
        forget_rows(raw)


def changes_of(raw: RawConnection) -> int:
    """Return how many rows *raw* has changed since it was opened."""
    try:
        count: int = raw._connection.total_changes
    except (AttributeError, sqlite3.ProgrammingError):  # a program has closed it
        return 0
    return count


def forget_rows(raw: RawConnection) -> None:
    """Let *raw* tell a program no row id of an earlier loan; nobody waits for it.

    Where an upsert updates a row, SQLite tells the id that was inserted last.
    """
    if changes_of(raw) != getattr(raw, "forgotten", 0):
        leave(raw, _forget, raw, raw._connection)


def _forget(raw: RawConnection, connection: sqlite3.Connection) -> None:
    # Where nothing may be written, nothing will be inserted either.
    with contextlib.suppress(sqlite3.Error):
        forget_last_id(connection, may_stream=getattr(raw, "may_stream", False))
        raw.forgotten = connection.total_changes


def put_state_back(raw: RawConnection) -> None:
    """Let *raw* be as it was when it was lent to a program; nobody waits for it."""
    state = getattr(raw, "lent_state", None)
    if state is None or raw._connection is None or not raw._running:
        return
    connection = raw._connection
    with contextlib.suppress(sqlite3.ProgrammingError):  # closed
        if (*state, None) != (
            connection.row_factory,
            connection.text_factory,
            connection.isolation_level,
        ):
            send(raw, _put_back, connection, *state)


def watch(connection: sqlite3.Connection) -> Callable[[int], Any]:
    """Return what tells whether another file, or none, is where that of *connection* was.

    Programs and their tests put one in the place of another. An open
    connection would go on with a file that nobody sees.
    """
    path = next(path for _, name, path in _databases(connection) if name == "main")
    opened = _identity(path)
    if opened is None:
        return no_news  # it is in memory, or nobody says where
    return lambda _: _identity(path) != opened


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # asked for many a query
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _databases(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    return connection.execute("PRAGMA database_list").fetchall()


def take_back(raw: RawConnection) -> None:
    """Let *raw* be as it was before it was lent; nobody waits for it."""
    put_state_back(raw)
    end_session(raw)


def end_session(raw: RawConnection) -> None:
    """Let *raw* forget what was attached, and temporary tables; nobody waits for it.

    What a program did as it was opened is for every loan: such a session stays.
    """
    if raw._connection is not None and raw._running and not getattr(raw, "is_prepared", True):
        leave(raw, _end_session, raw._connection)


def _end_session(connection: sqlite3.Connection) -> None:
    # Inside a transaction nothing can be detached: it is rolled back first.
    if connection.in_transaction:
        return
    # Closed, or in use by a cursor that somebody keeps: then it stays as it is.
    with contextlib.suppress(sqlite3.Error):
        for _, database, _ in _databases(connection):
            if database == "temp":
                for kind, name in connection.execute(_TEMPORARY).fetchall():
                    connection.execute(f"DROP {kind} IF EXISTS temp.{_quoted(name)}")
            elif database != "main":
                connection.execute(f"DETACH DATABASE {_quoted(database)}")


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _put_back(connection: sqlite3.Connection, row_factory: Any, text_factory: Any) -> None:
    connection.row_factory, connection.text_factory = row_factory, text_factory
    if connection.isolation_level is not None:
        # Or else what is open would be committed.
        roll_back(connection)
        connection.isolation_level = None


def _remember_state(raw: RawConnection) -> None:
    # A program may change how rows are made.
    connection = raw._connection
    # Once: at the next loan, the thread may not have put it back yet.
    if connection is not None and getattr(raw, "lent_state", None) is None:
        raw.lent_state = connection.row_factory, connection.text_factory
