"""The contract of a driver: a handful of verbs on one raw connection.

A driver keeps no state. One object serves a whole backend; what belongs to a
connection is on the raw connection or in the pool.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from databases.backends.common.plans import Plan
from databases.errors import ConfigurationError
from databases.urls import DatabaseURL

__all__ = [
    "Arguments",
    "Called",
    "Driver",
    "Fetched",
    "Outcome",
    "RawConnection",
    "Stream",
    "Value",
    "takes",
    "with_password",
]

RawConnection = Any
"""A driver's own connection object."""
Value = Any
"""A value of a column, as the driver or the column's type gives it."""
Arguments = Sequence[Value] | None
Row = Sequence[Value]


def takes(function: Callable[..., Any], name: str) -> bool:
    """Tell whether *function* has a parameter *name*; yes where nobody can tell."""
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # a compiled function without a signature
        return True


async def with_password(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *arguments* with the password that its function gives, if it is one.

    Asked for each connection anew, those that only cancel a statement
    included: a password may be good for minutes.
    """
    password = arguments.get("password")
    if not callable(password):
        return dict(arguments)
    found = password()
    if hasattr(found, "__await__"):
        found = await found
    if not isinstance(found, str):
        raise ConfigurationError(
            f"cannot connect: the function given as password returned a {type(found).__name__}; "
            "let it return a string"
        )
    return {**arguments, "password": found}


class Fetched(NamedTuple):
    """Rows with the names of their columns, in server order."""

    names: Sequence[str]
    rows: Sequence[Row]


class Outcome(NamedTuple):
    """What is left of a statement that was executed."""

    row: Row | None = None
    """The first row, where the statement answered with rows."""
    names: Sequence[str] = ()
    row_count: int | None = None
    """Rows affected or selected, as the driver counts them."""
    last_id: Any = None
    """The row id of an INSERT, on drivers that know one."""


class Called(NamedTuple):
    """Everything that a statement has answered."""

    names: Sequence[str] | None
    """The names of the columns; None where there is no result at all."""
    rows: Sequence[Row]
    row_count: int | None = None
    last_id: Any = None


class Stream(Protocol):
    """Rows that the server keeps until they are asked for."""

    names: Sequence[str]

    async def fetch(self, size: int) -> Sequence[Row]:
        """Return the next *size* rows; fewer or none at the end."""

    def abandon(self) -> bool:
        """Give the rest up at once; true if the connection can go on as it is."""


class Driver(Protocol):
    """Verbs over one raw connection; each takes it first.

    Whatever the driver package raises passes through unchanged. A task that is
    cancelled in a verb leaves the raw connection in doubt: `recover` or
    discard it.
    """

    streams_in_transaction: bool
    """Whether `stream` needs a transaction around it."""
    interleaves: bool
    """Whether other statements may run while a stream is open."""
    bulk_is_atomic: bool
    """Whether `execute_many` outside a transaction keeps all of its rows or none."""
    forgets_session: bool
    """Whether `reset` makes the session as new."""

    @property
    def errors(self) -> Any:
        """A module or object with the driver's exceptions by PEP 249's names."""

    def accepts(self, name: str) -> bool:
        """Tell whether the driver's own ``connect()`` has an argument *name*."""

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open one connection. A cancelled or failed call leaves nothing open."""

    async def close(self, raw: RawConnection) -> None:
        """Say goodbye to the server and close."""

    def terminate(self, raw: RawConnection) -> None:
        """Close at once, without asking anybody; never raises."""

    def news(self, raw: RawConnection) -> Callable[[int], Any]:
        """Return what tells at no cost, given 0, whether something came of *raw* unasked."""

    def is_usable(self, raw: RawConnection) -> bool:
        """Tell, at no cost, whether the connection is open as far as is known."""

    def in_transaction(self, raw: RawConnection) -> bool:
        """Tell, at no cost, whether a transaction is open."""

    def is_clean(self, error: BaseException) -> bool:
        """Tell whether the connection can be trusted after *error*."""

    def is_unsent(self, error: BaseException) -> bool:
        """Tell whether *error* says that nothing was sent, the connection having ended before."""

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool | None:
        """Tell whether the server has ended the transaction because of *error*.

        None: the error does not say; after `recover`, `in_transaction` knows.
        """

    def can_recover(self, raw: RawConnection) -> bool:
        """Tell, at no cost, whether `recover` can help after a cancelled statement."""

    def interrupt(self, raw: RawConnection) -> None:
        """Ask the running statement to stop, without waiting."""

    async def recover(self, raw: RawConnection) -> None:
        """Wait until a cancelled statement is over, and know the state of the transaction."""

    async def cancel(self, raw: RawConnection) -> None:
        """Stop the running statement on the server; the connection is given up."""

    async def ping(self, raw: RawConnection) -> None:
        """Ask the server for a sign of life; raise if there is none."""

    async def reset(self, raw: RawConnection) -> None:
        """Forget the session's state."""

    def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Awaitable[Fetched]:
        """Run *sql* and read every row."""

    def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Awaitable[Fetched]:
        """Run *sql* and read its first row, if there is one."""

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect."""

    async def call(self, raw: RawConnection, sql: str, args: Sequence[Value]) -> Called:
        """Run *sql*, written for PEP 249, and tell everything about its result."""

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row by the driver's bulk call, inside a transaction."""

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Run *sql* and leave its rows on the server."""

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each option; 0: nothing.

        Raises `ConfigurationError` for an option it has not.
        """

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin a transaction. Raises `ConfigurationError` for an option it has not."""

    async def commit(self, raw: RawConnection) -> None:
        """Commit. Raises when the server has rolled back instead."""

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back the transaction, if one is open."""

    def run(self, raw: RawConnection, sql: str) -> Awaitable[None]:
        """Run a statement that has neither parameters nor rows."""
