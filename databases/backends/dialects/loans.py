"""Loans: what a connection of SQLite keeps of the program that it was lent to, and must not."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.backends.dialects.sqlite import forget_last_id, roll_back
from databases.backends.dialects.threads import leave, send

__all__ = ["changes_of", "forget_rows", "lend", "put_state_back"]


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
