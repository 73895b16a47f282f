from __future__ import annotations

import asyncio
import pickle

import pytest

from databases import errors

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_databases_error(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.DatabasesError)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling(kind: type[Exception]) -> None:
    error = kind("cannot do it: it is so; do this")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert copy.args == error.args
    assert str(copy) == str(error) == "cannot do it: it is so; do this"


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.DriverNotInstalledError, ImportError),
        (errors.DriverNotInstalledError, errors.ConfigurationError),
        (errors.NotConnectedError, RuntimeError),
        (errors.NotConnectedError, AssertionError),
        (errors.ConnectionStateError, AssertionError),
        (errors.TransactionStateError, AssertionError),
        (errors.ParameterError, ValueError),
        (errors.RecordTypeError, TypeError),
        (errors.PoolTimeoutError, TimeoutError),
        (errors.PoolTimeoutError, asyncio.TimeoutError),
    ],
)
def test_error_is_caught_by_its_standard_name(
    kind: type[Exception], standard: type[Exception]
) -> None:
    with pytest.raises(standard, match="cannot"):
        raise kind("cannot do it")
