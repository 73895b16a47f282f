"""The names that programs import, and the signatures that they call."""

from __future__ import annotations

import importlib
import inspect
import logging
import subprocess
import sys
import typing
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import pytest

import databases
from databases import Database, DatabaseURL, core, interfaces

NAMES = {
    "databases": "Database DatabaseURL core importer interfaces",
    "databases.core": (
        "Database Connection Transaction DatabaseURL logger LOG_EXTRA CONNECT_EXTRA"
        " DISCONNECT_EXTRA _ACTIVE_TRANSACTIONS"
    ),
    "databases.interfaces": "DatabaseBackend ConnectionBackend TransactionBackend Record",
    "databases.importer": "import_from_string ImportFromStringError",
    "databases.backends.postgres": (
        "PostgresBackend PostgresConnection PostgresTransaction Record"
    ),
    "databases.backends.aiopg": "AiopgBackend AiopgConnection AiopgTransaction",
    "databases.backends.mysql": "MySQLBackend MySQLConnection MySQLTransaction",
    "databases.backends.asyncmy": "AsyncMyBackend AsyncMyConnection AsyncMyTransaction",
    "databases.backends.sqlite": (
        "SQLiteBackend SQLitePool SQLiteConnection SQLiteTransaction Record"
    ),
    "databases.backends.common.records": "Record Row create_column_maps",
    "databases.backends.dialects.psycopg": "dialect",
    "databases.backends.compilers.psycopg": "APGCompiler_psycopg2",
}

SIGNATURES: dict[type, dict[str, str]] = {
    Database: {
        "connect": "",
        "disconnect": "",
        "fetch_all": "query values=None",
        "fetch_one": "query values=None",
        "fetch_val": "query values=None column=0",
        "execute": "query values=None",
        "execute_many": "query values",
        "iterate": "query values=None",
        "connection": "",
        "force_rollback": "",
    },
    core.Connection: {
        "fetch_all": "query values=None",
        "fetch_one": "query values=None",
        "fetch_val": "query values=None column=0",
        "execute": "query values=None",
        "execute_many": "query values",
        "iterate": "query values=None",
    },
    core.Transaction: {"start": "", "commit": "", "rollback": ""},
    interfaces.DatabaseBackend: {"connect": "", "disconnect": "", "connection": ""},
    interfaces.ConnectionBackend: {
        "acquire": "",
        "release": "",
        "fetch_all": "query",
        "fetch_one": "query",
        "fetch_val": "query column=0",
        "execute": "query",
        "execute_many": "queries",
        "iterate": "query",
        "transaction": "",
    },
    interfaces.TransactionBackend: {
        "start": "is_root extra_options",
        "commit": "",
        "rollback": "",
    },
}


def _parameters(function: Callable[..., object]) -> list[str]:
    """List the parameters after *self*: ``["query", "values=None"]``."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m, names in NAMES.items() for name in names.split()]
)
def test_name_can_be_imported_from_its_module(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("owner", "method", "expected"),
    [(owner, method, e) for owner, methods in SIGNATURES.items() for method, e in methods.items()],
)
def test_method_has_the_signature_that_callers_know(
    owner: type, method: str, expected: str
) -> None:
    known = expected.split()
    parameters = _parameters(getattr(owner, method))

    assert parameters[: len(known)] == known
    # What came later must be optional.
    assert [p for p in parameters[len(known) :] if "=" not in p] == []


@pytest.mark.parametrize("owner", [Database, core.Connection])
@pytest.mark.parametrize(
    "method",
    "fetch_all fetch_one fetch_val execute execute_many iterate transaction".split(),
)
def test_verb_is_an_ordinary_function_on_the_class(owner: type, method: str) -> None:
    assert inspect.isfunction(inspect.getattr_static(owner, method))


@pytest.mark.parametrize(
    "method", "connect disconnect connection force_rollback __aenter__ __aexit__".split()
)
def test_other_method_is_an_ordinary_function_on_the_class(method: str) -> None:
    assert inspect.isfunction(vars(Database)[method])


def test_connection_and_transaction_are_not_coroutines() -> None:
    assert not inspect.iscoroutinefunction(Database.connection)
    assert not inspect.iscoroutinefunction(Database.transaction)


@pytest.mark.parametrize("owner", [Database, core.Connection])
def test_transaction_takes_force_rollback_by_keyword_and_any_options(owner: type) -> None:
    parameters = inspect.signature(owner.transaction).parameters  # type: ignore[attr-defined]

    kinds = [p.kind for p in list(parameters.values())[1:]]

    assert kinds == [inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD]
    assert parameters["force_rollback"].default is False


def test_database_takes_url_then_force_rollback_by_keyword_and_any_options() -> None:
    parameters = inspect.signature(Database).parameters

    assert next(iter(parameters)) == "url"
    assert parameters["force_rollback"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["force_rollback"].default is False
    assert list(parameters.values())[-1].kind is inspect.Parameter.VAR_KEYWORD


def test_version_stays_within_the_range_that_dependants_pin() -> None:
    assert databases.__version__ == "0.9.1"


def test_package_is_marked_as_typed() -> None:
    assert databases.__file__ is not None
    assert (Path(databases.__file__).parent / "py.typed").is_file()


def test_annotations_of_the_public_api_can_be_resolved() -> None:
    for method in ("fetch_all", "fetch_one", "execute", "transaction"):
        assert "return" in typing.get_type_hints(getattr(Database, method))


def test_core_and_package_export_the_same_classes() -> None:
    assert core.Database is Database
    assert core.DatabaseURL is DatabaseURL


def test_active_transactions_is_a_context_variable_that_starts_with_none() -> None:
    assert isinstance(core._ACTIVE_TRANSACTIONS, ContextVar)
    assert core._ACTIVE_TRANSACTIONS.get() is None


def test_logger_bears_the_name_of_the_package() -> None:
    assert isinstance(core.logger, logging.Logger)
    assert core.logger.name == "databases"


@pytest.mark.parametrize("name", ["LOG_EXTRA", "CONNECT_EXTRA", "DISCONNECT_EXTRA"])
def test_log_extra_can_be_given_to_a_logging_call(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    extra = getattr(core, name)

    with caplog.at_level(logging.INFO, "databases"):
        core.logger.info("%s", "text", extra=extra)

    assert isinstance(extra, dict)
    assert caplog.messages == ["text"]


@pytest.mark.parametrize(
    ("module", "prefix"),
    [
        ("postgres", "Postgres"),
        ("aiopg", "Aiopg"),
        ("mysql", "MySQL"),
        ("asyncmy", "AsyncMy"),
        ("sqlite", "SQLite"),
    ],
)
def test_named_classes_implement_the_interfaces(module: str, prefix: str) -> None:
    names = vars(importlib.import_module(f"databases.backends.{module}"))

    assert issubclass(names[f"{prefix}Backend"], interfaces.DatabaseBackend)
    assert issubclass(names[f"{prefix}Connection"], interfaces.ConnectionBackend)
    assert issubclass(names[f"{prefix}Transaction"], interfaces.TransactionBackend)


@pytest.mark.parametrize("module", ["postgres", "sqlite", "common.records"])
def test_record_of_a_backend_module_is_a_record_of_the_interface(module: str) -> None:
    record = importlib.import_module(f"databases.backends.{module}").Record

    assert issubclass(record, interfaces.Record)


def test_submodules_are_there_after_importing_the_package_alone() -> None:
    program = (
        "import databases\n"
        "assert databases.core.Database is databases.Database\n"
        "assert databases.interfaces.Record and databases.importer and databases.backends\n"
        "assert not hasattr(databases, 'something_else')\n"
        "from databases import *\n"
        "assert Database and DatabaseURL\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
