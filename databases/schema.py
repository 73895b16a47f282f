"""Schema: tables made, dropped and looked at by SQLAlchemy, over the driver's connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.dbapi import SyncConnection, make_engine
from databases.bridge import Bridge
from databases.errors import InterfaceError, TransactionStateError

if TYPE_CHECKING:
    from databases.connection import Connection

__all__ = ["Inspecting", "run_sync"]

P = ParamSpec("P")
T = TypeVar("T")


class Inspecting:
    """What a database offers of SQLAlchemy's synchronous side."""

    def connection(self) -> Connection:
        """Return the connection of the current task."""
        raise NotImplementedError

    async def run_sync(
        self,
        function: Callable[Concatenate[sa.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *function* returns, called with a ``sqlalchemy.Connection``.

        For what SQLAlchemy does synchronously: ``sqlalchemy.inspect``,
        reflection, Alembic. It uses the connection of this task, in the
        transaction that is open, or else in one that is committed when
        *function* returns. The function runs on a thread of its own, and the
        statements on the event loop; what they raise comes as
        ``sqlalchemy.exc`` has it.
        """
        async with self.connection() as connection:
            return await connection.run_sync(function, *args, **kwargs)

    async def create_all(
        self,
        metadata: sa.MetaData,
        *,
        tables: Sequence[sa.Table] | None = None,
        checkfirst: bool = True,
    ) -> None:
        """Create the tables of *metadata*, or *tables* of them, that are not there.

        With *checkfirst* false, one that is there is the driver's error. On
        MySQL, which commits at each of them, not inside a transaction.
        """
        async with self.connection() as connection:
            await _change(connection, metadata.create_all, tables, checkfirst)

    async def drop_all(
        self,
        metadata: sa.MetaData,
        *,
        tables: Sequence[sa.Table] | None = None,
        checkfirst: bool = True,
    ) -> None:
        """Drop the tables of *metadata*, or *tables* of them, that are there."""
        async with self.connection() as connection:
            await _change(connection, metadata.drop_all, tables, checkfirst)


async def _change(
    connection: Connection,
    change: Callable[..., None],
    tables: Sequence[sa.Table] | None,
    checkfirst: bool,  # noqa: FBT001  # passed on
) -> None:
    dialect = getattr(connection._connection, "_dialect", None)
    name = getattr(dialect, "name", None)
    if name in ("mysql", "mariadb") and connection._stack.runs:
        raise TransactionStateError(
            "cannot change tables: a transaction is open, and MySQL commits it at every such "
            "statement; do it outside of a transaction"
        )
    # What is read first would else be written with a lock that is to be had no more.
    options = {"mode": "immediate"} if name == "sqlite" else {}

    def work(bind: sa.Connection) -> None:
        change(bind, tables=tables, checkfirst=checkfirst)

    try:
        await run_sync(connection, options, work)
    except sa.exc.DBAPIError as error:
        if error.orig is None:
            raise
        raise error.orig from None


async def run_sync(
    connection: Connection, options: dict[str, Any], function: Callable[[sa.Connection], T]
) -> T:
    """Call *function* with a ``sqlalchemy.Connection`` over *connection*, which is acquired.

    *options* are those of a transaction that is begun where none is open.
    """
    backend = connection._backend
    if not isinstance(backend, CommonBackend) or not isinstance(
        connection._connection, CommonConnection
    ):
        raise InterfaceError(
            f"cannot run a synchronous function: {type(backend).__name__} is no backend of this "
            "library; use a synchronous engine of SQLAlchemy instead"
        )
    bridge: Bridge[T] = Bridge()
    given = SyncConnection(connection, bridge, options)

    def work() -> T:
        with make_engine(given, backend).connect() as sync:
            sync.dialect.initialize(sync)
            sync.rollback()
            result = function(sync)
            sync.commit()
            return result

    try:
        return await bridge.run(work)
    except BaseException as error:
        if given.transaction is not None:
            await given.transaction.__aexit__(type(error), error, error.__traceback__)
        raise
