"""A database that is created for tests and dropped after them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from databases.testing.servers import created, current_name, options_elsewhere
from databases.testing.threads import call_apart, run_apart

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from databases.core import Database
    from databases.urls import DatabaseURL

__all__ = ["Schema", "temporary_database"]

Schema: TypeAlias = "MetaData | Callable[[Database], Awaitable[None] | None] | None"
"""What prepares a new database: its tables, or a function that is given the `Database`.

The function is called where no event loop runs, with the `Database` not
connected. What it returns is awaited, if it can be, with the `Database`
connected: coroutine functions, and lambdas that call one.
"""


@contextmanager
def temporary_database(database: Database, schema: Schema = None) -> Iterator[Database]:
    """Create a database beside that of *database*, and point *database* at it for the block.

    On a server its name is that of the old one and ``_test_`` with eight
    random letters; on SQLite it is a file in a temporary folder. *schema*
    prepares it. At the end it is dropped, whatever happened and whoever is
    connected to it, and *database* has its own URL again.

    Raises `InterfaceError` if *database* is connected, before the block or
    after it, and what the server or *schema* raises. The block connects
    *database* as it likes, on any event loop.
    """
    from databases.errors import InterfaceError

    if database.is_connected:
        raise InterfaceError(
            "cannot create a database for tests: the Database is connected already; "
            "disconnect() it first"
        )
    with created(database) as (url, name), _pointed_at(database, url):
        _prepare(database, schema, name)
        yield database
        if database.is_connected:
            raise InterfaceError(
                "cannot drop the database for tests in peace: the Database is still connected; "
                "disconnect() it on the event loop that connected it"
            )


@contextmanager
def _pointed_at(database: Database, url: DatabaseURL) -> Iterator[None]:
    before = database.url, database.options, database._backend
    options = options_elsewhere(database)
    database.url, database.options = url, options
    database._backend = _like(before[2], url, options)
    try:
        yield
    finally:
        database.url, database.options, database._backend = before


def _like(backend: Any, url: DatabaseURL, options: dict[str, Any]) -> Any:
    """Make another backend for *url*, with what a program has changed on *backend*."""
    from databases.backends.common.options import without_facade_options

    made = type(backend)(without_facade_options(url), **options)
    if hasattr(backend, "_dialect"):
        made._dialect = backend._dialect
    if getattr(backend, "_hides_values", False):
        made.hide_values()
    return made


def _prepare(database: Database, schema: Schema, name: str) -> None:
    from sqlalchemy import MetaData

    flag, database._force_rollback = database._force_rollback, False
    try:
        run_apart(lambda: _check(database, name))
        if isinstance(schema, MetaData):
            run_apart(lambda: _connected(database, database.create_all(schema, checkfirst=False)))
        elif schema is not None:
            made = call_apart(lambda: schema(database))
            if inspect.isawaitable(made):
                run_apart(lambda: _connected(database, made))
    finally:
        database._force_rollback = flag


async def _check(database: Database, name: str) -> None:
    from databases.errors import ConfigurationError

    async with database:
        if await current_name(database) != name:
            raise ConfigurationError(
                f"cannot use the database {name!r} for tests: an option leads to another one; "
                "name the database in the URL alone"
            )


async def _connected(database: Database, work: Awaitable[None]) -> None:
    async with database:
        await work
