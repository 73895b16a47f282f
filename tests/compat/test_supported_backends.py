"""``Database.SUPPORTED_BACKENDS``: what a scheme stands for."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from databases import Database
from databases.backends.sqlite import SQLiteBackend
from databases.importer import import_from_string

ORIGINAL = "postgresql postgresql+aiopg postgres mysql mysql+asyncmy sqlite".split()

FORMS = {
    "sqlite": "databases.backends.sqlite:SQLiteBackend",
    "sqlite+aiosqlite": "databases.backends.sqlite:SQLiteBackend",
    "postgres": "databases.backends.postgres:PostgresBackend",
    "postgresql": "databases.backends.postgres:PostgresBackend",
    "postgresql+asyncpg": "databases.backends.postgres:PostgresBackend",
    "postgresql+aiopg": "databases.backends.aiopg:AiopgBackend",
    "mysql": "databases.backends.mysql:MySQLBackend",
    "mysql+aiomysql": "databases.backends.mysql:MySQLBackend",
    "mysql+asyncmy": "databases.backends.asyncmy:AsyncMyBackend",
}


class OtherBackend(SQLiteBackend):
    """Found through an entry of its own."""


OTHER = f"{__name__}:OtherBackend"


@pytest.mark.parametrize("scheme", ORIGINAL)
def test_scheme_has_an_entry_that_can_be_imported(scheme: str) -> None:
    path = Database.SUPPORTED_BACKENDS[scheme]

    assert import_from_string(path) is import_from_string(FORMS[scheme])


def test_entries_are_a_dict_on_the_class() -> None:
    assert isinstance(vars(Database)["SUPPORTED_BACKENDS"], dict)


@pytest.mark.parametrize("scheme", FORMS)
def test_scheme_gives_the_named_backend(scheme: str) -> None:
    database = Database(f"{scheme}://host/name")

    assert type(database._backend) is import_from_string(FORMS[scheme])


def test_psycopg_has_a_backend_of_its_own() -> None:
    backends = [type(Database(f"{s}://h/name")._backend) for s in FORMS]

    assert type(Database("postgresql+psycopg://h/name")._backend) not in backends


@pytest.mark.parametrize("scheme", ["postgresql+other", "mysql+other", "sqlite+other"])
def test_unlisted_scheme_falls_back_to_the_entry_of_its_dialect(scheme: str) -> None:
    dialect = scheme.partition("+")[0]
    Database.SUPPORTED_BACKENDS[dialect] = OTHER

    assert type(Database(f"{scheme}://host/name")._backend) is OtherBackend


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "mysql+aiomysql", "sqlite+aiosqlite"])
def test_entry_of_a_dialect_changed_in_place_serves_its_fallbacks(scheme: str) -> None:
    dialect = scheme.partition("+")[0]
    Database.SUPPORTED_BACKENDS.pop(scheme, None)
    Database.SUPPORTED_BACKENDS[dialect] = OTHER

    assert type(Database(f"{scheme}://host/name")._backend) is OtherBackend


@pytest.mark.parametrize("scheme", ["sqlite", "mssql", "mssql+pyodbc", "postgres"])
def test_entry_changed_in_place_is_used_from_then_on(scheme: str) -> None:
    Database.SUPPORTED_BACKENDS[scheme] = OTHER

    assert type(Database(f"{scheme}://host/name")._backend) is OtherBackend


def test_entry_does_not_change_a_database_made_before() -> None:
    database = Database("sqlite:///name")

    Database.SUPPORTED_BACKENDS["sqlite"] = OTHER

    assert type(database._backend) is SQLiteBackend


def test_subclass_with_its_own_entries() -> None:
    class Other(Database):
        SUPPORTED_BACKENDS: ClassVar[dict[str, str]] = {"other": OTHER, "sqlite": OTHER}

    assert type(Other("other://host/name")._backend) is OtherBackend
    assert type(Other("sqlite+aiosqlite:///name")._backend) is OtherBackend
    assert type(Database("sqlite:///name")._backend) is SQLiteBackend


def test_subclass_with_its_own_entries_does_not_know_the_others() -> None:
    class Other(Database):
        SUPPORTED_BACKENDS: ClassVar[dict[str, str]] = {"other": OTHER}

    with pytest.raises(Exception, match=r"mysql"):
        Other("mysql://host/name")


def test_subclass_that_adds_to_the_entries() -> None:
    class Other(Database):
        SUPPORTED_BACKENDS: ClassVar[dict[str, str]] = {
            **Database.SUPPORTED_BACKENDS,
            "sqlite+other": OTHER,
        }

    assert type(Other("sqlite+other:///name")._backend) is OtherBackend
    assert type(Other("sqlite+aiosqlite:///name")._backend) is SQLiteBackend


@pytest.mark.parametrize("url", ["oracle://host/name", "oracle+driver://host/name"])
def test_unknown_dialect_is_an_error_that_names_it_and_the_known_ones(url: str) -> None:
    with pytest.raises(Exception) as caught:
        Database(url)

    for word in ("oracle", "postgresql", "mysql", "sqlite"):
        assert word in str(caught.value)


def test_backend_is_made_with_the_url_and_the_options() -> None:
    seen: list[tuple[Any, dict[str, Any]]] = []

    class Witness(SQLiteBackend):
        def __init__(self, database_url: Any, **options: Any) -> None:
            seen.append((database_url, options))
            super().__init__(database_url, **options)

    globals()["Witness"] = Witness
    Database.SUPPORTED_BACKENDS["witness"] = f"{__name__}:Witness"

    Database("witness:///name?uri=true", timeout=3)

    assert seen == [("witness:///name?uri=true", {"timeout": 3})]


def test_a_subclass_chooses_its_backend() -> None:
    class OwnDatabase(Database):
        def _get_backend(self) -> str:
            return "databases.backends.sqlite:SQLiteBackend"

    assert isinstance(OwnDatabase("own://test.db")._backend, SQLiteBackend)
