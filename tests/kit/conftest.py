"""A project that uses the kit, and a look at what its runs leave behind."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import anyio.pytest_plugin
import pytest
import pytest_asyncio.plugin
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

import databases.testing.plugin
from databases import Database, DatabaseURL
from tests.support.drivers import DriverCase, load_drivers

ROOT = Path(__file__).resolve().parents[2]

SHOP = """
    import os

    import sqlalchemy

    from databases import Database

    database = Database(os.environ["DATABASE_URL"])
    metadata = sqlalchemy.MetaData()
    items = sqlalchemy.Table(
        "items",
        metadata,
        sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("name", sqlalchemy.String(50), nullable=False, unique=True),
    )


    async def add(name):
        async with database.transaction():
            await database.execute(items.insert().values(name=name))


    async def names():
        rows = await database.fetch_all(items.select().order_by(items.c.id))
        return [row.name for row in rows]
"""

CONFTEST = """
    import pytest
    import shop


    @pytest.fixture(scope="session")
    def application_database():
        return shop.database


    @pytest.fixture(scope="session")
    def database_schema():
        return shop.metadata


    @pytest.fixture(scope="session")
    def anyio_backend():
        return "asyncio"
"""

PLUGINS = (anyio.pytest_plugin, pytest_asyncio.plugin, databases.testing.plugin)
OPTIONS = ("-p", "no:cacheprovider", "-W", "error")


class Server:
    """Where the databases of a test are created, seen without the library."""

    def __init__(self, case: DriverCase, folder: Path) -> None:
        self.case = case
        self.base = f"kit_{os.getpid()}"
        self.folder = folder
        database = str(folder / "shop.db") if case.dialect == "sqlite" else self.base
        # It does not exist, and need not.
        self.url = str(DatabaseURL(case.url).replace(database=database))

    def databases(self) -> list[str]:
        """List what was created and is still there."""
        if self.case.dialect == "sqlite":
            return [str(path) for path in self.folder.rglob("*_test_*.db")]
        query = {
            "postgresql": "SELECT datname FROM pg_database",
            "mysql": "SELECT schema_name FROM information_schema.schemata",
        }[self.case.dialect]
        with self.engine().connect() as connection:
            found = connection.exec_driver_sql(query).scalars().all()
        return [name for name in found if name.startswith(f"{self.base}_test_")]

    def engine(self, database: str | None = None) -> sa.Engine:
        """Give an engine for *database*, or for the server."""
        url = sa.make_url(self.case.url).set(drivername=self.case.sync_scheme, query={})
        return sa.create_engine(
            url.set(database=database) if database else url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )


@pytest.fixture
def server(driver: DriverCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Give the server of the driver; afterwards no created database may be left on it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server(driver, tmp_path)
    # Loads the driver: what a run inside this process has loaded itself is
    # unloaded after it, and extensions in C do not bear that.
    Database(server.url)
    yield server
    assert server.databases() == []


@pytest.fixture
def first_driver_of_its_server(request: pytest.FixtureRequest) -> None:
    """Skip where the server has had its turn: runs in another process take seconds."""
    if "driver" in request.fixturenames:
        case: DriverCase = request.getfixturevalue("driver")
        first = next(each for each in load_drivers() if each.dialect == case.dialect)
        if case.name != first.name:
            pytest.skip(f"{first.name} has shown it on the same server")


class Project:
    """A project with tests, run by a pytest of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
        self.write(shop=SHOP, conftest=CONFTEST)

    def write(self, **modules: str) -> None:
        """Write modules, by name."""
        self.pytester.makepyfile(**{name: textwrap.dedent(text) for name, text in modules.items()})

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run the tests in this process."""
        return self.pytester.runpytest_inprocess(*OPTIONS, *arguments, plugins=PLUGINS)

    def run_process(self, *arguments: str) -> pytest.RunResult:
        """Run the tests in a process of their own."""
        words = (*self.named_plugins(), *OPTIONS, *arguments)
        return self.pytester.runpytest_subprocess(*words, timeout=60)

    def named_plugins(self) -> list[str]:
        """Give the arguments that load the plugins into another process."""
        return [word for plugin in PLUGINS for word in ("-p", plugin.__name__)]


@pytest.fixture
def project(server: Server, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project whose application uses the server."""
    monkeypatch.setenv("DATABASE_URL", server.url)
    # The plugins named above and no others, wherever this runs.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return Project(pytester)
