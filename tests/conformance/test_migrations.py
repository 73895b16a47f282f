"""Alembic over the driver, with the env.py that the documentation shows."""

from __future__ import annotations

import asyncio
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import checked_out
from tests.support.outside import Outside

alembic: Any = pytest.importorskip("alembic")
command: Any = pytest.importorskip("alembic.command")
configuration: Any = pytest.importorskip("alembic.config")

# MariaDB tells so of Alembic's own table, and aiomysql shows it.
pytestmark = pytest.mark.filterwarnings("ignore:Name .* ignored for PRIMARY KEY")

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "migrations.md"
TEMPLATE = pathlib.Path(alembic.__file__).parent / "templates" / "generic" / "script.py.mako"

FIRST = """
import os
import sqlalchemy as sa

DATABASE_URL = os.environ["DATABASE_URL"]
metadata = sa.MetaData()
makers = sa.Table(
    "shop_makers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
)


def ours(name, kind, parents):
    return kind != "table" or name.startswith("shop_")
"""
SECOND = """
makers.append_column(sa.Column("city", sa.String(80), index=True))
items = sa.Table(
    "shop_items",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("maker", sa.ForeignKey(makers.c.id), nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
)
"""


class Project:
    """A program with a folder of migrations."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        migrations = folder / "migrations"
        (migrations / "versions").mkdir(parents=True)
        shutil.copy(TEMPLATE, migrations)
        (env,) = re.findall(
            r"```python\n(import asyncio\n\nfrom alembic.*?)```", PAGE.read_text(), re.S
        )
        # The database under test has other tables than the program's.
        env = env.replace("import DATABASE_URL, metadata", "import DATABASE_URL, metadata, ours")
        env = env.replace(
            "target_metadata=metadata,", "target_metadata=metadata, include_name=ours,"
        )
        (migrations / "env.py").write_text(env)
        self.write(FIRST)

    def write(self, source: str) -> None:
        """Make *source* the program, not imported yet."""
        (self.folder / "shop.py").write_text(source)
        sys.modules.pop("shop", None)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)

    def config(self, connection: sa.Connection | None = None) -> Any:
        config = configuration.Config()
        config.set_main_option("script_location", str(self.folder / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        return config

    async def run(self, verb: str, *args: Any, **options: Any) -> None:
        """Run a command of Alembic, as its command line does."""
        await asyncio.to_thread(getattr(command, verb), self.config(), *args, **options)

    @property
    def revisions(self) -> list[str]:
        files = sorted((self.folder / "migrations" / "versions").glob("*.py"))
        return [path.read_text() for path in files]


@pytest.fixture
def project(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, url: str, outside: Outside
) -> Iterator[Project]:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.syspath_prepend(tmp_path)
    yield Project(tmp_path)
    sys.modules.pop("shop", None)
    for name in ("shop_items", "shop_makers", "alembic_version"):
        outside.run(f"DROP TABLE IF EXISTS {name}")


def tables(outside: Outside) -> dict[str, list[str]]:
    inspector = sa.inspect(outside.connection)
    return {
        name: [column["name"] for column in inspector.get_columns(name)]
        for name in inspector.get_table_names()
        if name.startswith("shop_")
    }


async def test_revision_autogenerate_upgrade_downgrade(project: Project, outside: Outside) -> None:
    await project.run("revision", "make makers", autogenerate=True)
    assert "create_table('shop_makers'" in project.revisions[0]
    await project.run("upgrade", "head")
    assert tables(outside) == {"shop_makers": ["id", "name"]}

    outside.run("INSERT INTO shop_makers (id, name) VALUES (1, 'ada')")
    project.write(FIRST + SECOND)
    await project.run("revision", "add items", autogenerate=True)
    await project.run("upgrade", "head")
    both = {"shop_makers": ["id", "name", "city"], "shop_items": ["id", "maker", "price"]}
    assert tables(outside) == both
    assert outside.value("SELECT name FROM shop_makers") == "ada"
    await project.run("check")

    await project.run("downgrade", "-1")
    assert tables(outside) == {"shop_makers": ["id", "name"]}
    assert outside.value("SELECT name FROM shop_makers") == "ada"
    await project.run("downgrade", "base")
    assert tables(outside) == {}


async def test_a_program_upgrades_over_its_own_connection(
    project: Project, make_database: MakeDatabase, outside: Outside
) -> None:
    await project.run("revision", "make makers", autogenerate=True)

    async with make_database(max_size=1) as database:
        await database.run_sync(lambda c: command.upgrade(project.config(c), "head"))
        assert await database.fetch_all("SELECT name FROM shop_makers") == []
        assert checked_out(database) == 0

    assert tables(outside) == {"shop_makers": ["id", "name"]}


async def test_a_migration_that_fails_leaves_the_version_as_it_was(
    project: Project, make_database: MakeDatabase, outside: Outside
) -> None:
    await project.run("revision", "make makers", autogenerate=True)
    await project.run("upgrade", "head")
    await project.run("revision", "fail")
    path = max((project.folder / "migrations" / "versions").glob("*_fail.py"))
    failing = (
        "op.execute('INSERT INTO shop_makers (id, name) VALUES (1, ''x'')')\n    raise LookupError"
    )
    path.write_text(path.read_text().replace("pass", failing.replace("''x''", "\\'x\\'"), 1))
    version = outside.value("SELECT version_num FROM alembic_version")

    with pytest.raises(LookupError):
        await project.run("upgrade", "head")

    assert outside.value("SELECT version_num FROM alembic_version") == version
    assert outside.value("SELECT count(*) FROM shop_makers") == 0


async def test_a_database_in_memory(project: Project) -> None:
    await project.run("revision", "make makers", autogenerate=True)

    async with Database("sqlite://") as database:
        await database.run_sync(lambda c: command.upgrade(project.config(c), "head"))
        await database.execute("INSERT INTO shop_makers (name) VALUES ('ada')")
        assert await database.fetch_val("SELECT name FROM shop_makers") == "ada"
