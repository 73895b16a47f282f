"""The exceptions this library raises itself; a driver's own are never wrapped.

::

    DatabasesError
    ├── ConfigurationError (ValueError)           a URL or option that cannot work
    │   └── DriverNotInstalledError (ImportError)
    ├── HookError                                 on_commit or on_rollback functions failed
    └── InterfaceError                            the API used in a way it cannot honour
        ├── NotConnectedError (RuntimeError, AssertionError)
        ├── ConnectionStateError (AssertionError)
        ├── TransactionStateError (AssertionError)
        ├── ParameterError (ValueError)
        ├── RecordTypeError (TypeError)
        └── PoolTimeoutError (TimeoutError, asyncio.TimeoutError)

Some are ``AssertionError`` as well, because programs have caught them by that
name for years. They are raised under ``python -O`` too.
"""

from __future__ import annotations

import asyncio
import sys

__all__ = [
    "ConfigurationError",
    "ConnectionStateError",
    "DatabasesError",
    "DriverNotInstalledError",
    "HookError",
    "InterfaceError",
    "NotConnectedError",
    "ParameterError",
    "PoolTimeoutError",
    "RecordTypeError",
    "TransactionStateError",
]


class DatabasesError(Exception):
    """Base of every exception that this library raises itself."""


class ConfigurationError(DatabasesError, ValueError):
    """A URL or an option that cannot work, found before the server is asked."""


class DriverNotInstalledError(ConfigurationError, ImportError):
    """The driver of a URL is not installed; the message names the extra."""


class HookError(DatabasesError):
    """Functions given to ``on_commit`` or ``on_rollback`` failed; the transaction has ended.

    ``errors`` holds what they raised, in the order in which they ran; the
    first is the ``__cause__`` too.
    """

    def __init__(self, message: str, errors: tuple[Exception, ...] = ()) -> None:
        super().__init__(message, errors)
        self.errors = errors

    def __str__(self) -> str:
        return str(self.args[0])


class InterfaceError(DatabasesError):
    """The API used in a way it cannot honour."""


class NotConnectedError(InterfaceError, RuntimeError, AssertionError):
    """A query before ``connect()`` or after ``disconnect()``."""


class ConnectionStateError(InterfaceError, AssertionError):
    """A connection acquired twice, or used or released without being acquired."""


class TransactionStateError(InterfaceError, AssertionError):
    """A transaction ended twice, never started, out of order, or aborted."""


class ParameterError(InterfaceError, ValueError):
    """Parameters that a query names and was not given, or the reverse."""


class RecordTypeError(InterfaceError, TypeError):
    """Rows that cannot become objects of a type: columns and fields differ, or it is none."""


if sys.version_info >= (3, 11):

    class PoolTimeoutError(InterfaceError, TimeoutError):
        """No connection became free within ``acquire_timeout``."""

else:
    # Before Python 3.11 ``asyncio.TimeoutError`` is another class, and it is
    # the one that programs catch around awaits.
    class PoolTimeoutError(InterfaceError, TimeoutError, asyncio.TimeoutError):
        """No connection became free within ``acquire_timeout``."""
