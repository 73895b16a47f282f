"""What a block of a test sends to the database, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databases.core import Database

__all__ = ["assert_num_queries", "captured_statements"]


@contextmanager
def captured_statements(database: Database) -> Iterator[list[str]]:
    """Give a list that gets the text of each query that *database* runs in the block.

    Queries of all tasks, and of the application's thread under `TestClient`,
    in the order in which they ended; those that failed too. The text is what
    the driver got, without values. One `execute_many` is one query. What
    begins and ends transactions is none, and what a program does with a
    `raw_connection` is not seen.
    """
    from databases.events import Event, QueryEvent

    statements: list[str] = []

    def listener(event: Event) -> None:
        if isinstance(event, QueryEvent):
            statements.append(event.sql)

    end = database.listen(listener)
    try:
        yield statements
    finally:
        end()


@contextmanager
def assert_num_queries(database: Database, number: int) -> Iterator[list[str]]:
    """Raise `AssertionError`, with the statements, unless the block runs *number* queries.

    Gives the list of `captured_statements`, which says what counts.
    """
    with captured_statements(database) as statements:
        yield statements
    if len(statements) != number:
        listed = "".join(f"\n  {place}. {sql}" for place, sql in enumerate(statements, 1))
        raise AssertionError(
            f"{number} queries expected, {len(statements)} run{listed and ':'}{listed}"
        )
