"""The fixtures, as a plugin of pytest: `created_database`, `database`, `fresh_database`.

It is loaded by itself where the library is installed, and does nothing in a
run whose tests ask for none of them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from databases.testing.created import temporary_database

if TYPE_CHECKING:
    from databases.core import Database
    from databases.testing.created import Schema

__all__ = [
    "application_database",
    "created_database",
    "database",
    "database_schema",
    "fresh_database",
]

_ON_ASYNCIO = "databases.testing.on_asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Have fixtures on the loops of pytest-asyncio, if that is at work."""
    if _pytest_asyncio_of(config) is not None and _knows_loop_scopes(config):
        from databases.testing import on_asyncio

        config.pluginmanager.register(on_asyncio, _ON_ASYNCIO)


@pytest.fixture(scope="session")
def application_database() -> Database:
    """Give the application's own `Database`: your conftest.py has a fixture of this name."""
    raise pytest.UsageError(
        "cannot make a database for tests: nothing says where; write in conftest.py a fixture "
        'application_database with scope="session" that returns your application\'s Database'
    )


@pytest.fixture(scope="session")
def database_schema() -> Schema:
    """Give what prepares a new database: None, a MetaData or a function of the `Database`."""
    return None


@pytest.fixture(scope="session")
def created_database(application_database: Database, database_schema: Schema) -> Iterator[Database]:
    """Point the application's `Database` at a database created for this run.

    It is not connected. Every worker of pytest-xdist has a database of its own.
    """
    with temporary_database(application_database, database_schema) as database:
        yield database


@pytest.fixture
def database(request: pytest.FixtureRequest, created_database: Database) -> Iterator[Database]:
    """Give the application's `Database`, rolled back after the test.

    An async test, and async fixtures, find it connected. A plain test finds it
    disconnected: what it starts connects it, on its own event loop, and is
    rolled back when it disconnects.
    """
    with created_database.force_rollback():
        yield _ready(request, created_database)


@pytest.fixture
def _own_database(application_database: Database, database_schema: Schema) -> Iterator[Database]:
    with temporary_database(application_database, database_schema) as database:
        yield database


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, _own_database: Database) -> Database:
    """Point the application's `Database` at a database created for this test alone.

    Connected or not as `database` is; everything commits.
    """
    return _ready(request, _own_database)


def _ready(request: pytest.FixtureRequest, database: Database) -> Database:
    from databases.errors import InterfaceError

    if database.is_connected:
        raise InterfaceError(
            "cannot give this test the Database: it is connected already; disconnect() it where "
            "you connect it"
        )
    connecting = _connecting_fixture(request)
    if connecting is not None:
        request.getfixturevalue(connecting)
    return database


def _connecting_fixture(request: pytest.FixtureRequest) -> str | None:
    """Name the fixture that connects on the event loop of the test, None if it has none."""
    function: Any = getattr(request.node, "obj", None)
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    if not inspect.iscoroutinefunction(function):
        return None
    config = request.config
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None and _pytest_asyncio_of(config) is not None:
        if not config.pluginmanager.has_plugin(_ON_ASYNCIO):
            pytest.fail(
                "cannot connect on the event loop of the test: this pytest-asyncio is too old; "
                "install 1.1 or newer",
                pytrace=False,
            )
        scope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
        return f"_connected_on_{scope or config.getini('asyncio_default_test_loop_scope')}_loop"
    return "_connected_on_anyio" if "anyio_backend" in request.fixturenames else None


def _pytest_asyncio_of(config: pytest.Config) -> object | None:
    # Never imported here: a run that has no use for it does without.
    module = sys.modules.get("pytest_asyncio.plugin")
    return module if config.pluginmanager.is_registered(module) else None


def _knows_loop_scopes(config: pytest.Config) -> bool:
    try:
        config.getini("asyncio_default_test_loop_scope")
    except (KeyError, ValueError):
        return False
    return True


@pytest.fixture
async def _connected_on_anyio(
    application_database: Database, anyio_backend_name: str
) -> AsyncIterator[None]:
    if anyio_backend_name != "asyncio":
        pytest.fail(
            f"cannot connect on {anyio_backend_name}: databases runs on asyncio; write in "
            'conftest.py a fixture anyio_backend that returns "asyncio"',
            pytrace=False,
        )
    await application_database.connect()
    yield
    await application_database.disconnect()
