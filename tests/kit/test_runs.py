"""Runs of pytest that go wrong, that are shared out, or that have no use for the kit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import pytest

from tests.kit.conftest import OPTIONS, ROOT, Project, Server
from tests.support.drivers import requires

pytestmark = pytest.mark.usefixtures("first_driver_of_its_server")

FAILING = """
    import pytest
    import pytest_asyncio
    import shop

    pytestmark = pytest.mark.asyncio


    @pytest_asyncio.fixture
    async def broken(database):
        await shop.add("apple")
        raise ZeroDivisionError


    @pytest_asyncio.fixture
    async def breaking(database):
        await shop.add("apple")
        yield
        raise ZeroDivisionError


    async def test_fails_in_a_transaction(database):
        async with database.transaction():
            await shop.add("apple")
            raise ZeroDivisionError


    async def test_fixture_fails(broken):
        pass


    async def test_fixture_fails_at_its_end(breaking):
        pass


    async def test_fails_alone(fresh_database):
        await shop.add("apple")
        raise ZeroDivisionError


    async def test_query_fails(database):
        await shop.add("apple")
        await shop.add("apple")


    async def test_finds_nothing(database):
        assert await shop.names() == []
"""


def test_failures_leave_nothing(project: Project, server: Server) -> None:
    project.write(test_failing=FAILING)

    result = project.run()

    result.assert_outcomes(passed=2, failed=3, errors=2)
    assert server.databases() == []


def test_schema_that_fails_leaves_nothing(project: Project, server: Server) -> None:
    project.write(
        test_schema="""
        import pytest


        @pytest.fixture(scope="session")
        def database_schema():
            async def prepare(database):
                await database.execute("CREATE TABLE something (id INTEGER)")
                raise ZeroDivisionError

            return prepare


        def test_anything(database):
            pass
        """
    )

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*ZeroDivisionError*")
    assert server.databases() == []


def test_interrupt_leaves_nothing(project: Project, server: Server) -> None:
    project.write(
        test_waiting="""
        import asyncio
        from pathlib import Path

        import pytest
        import shop


        @pytest.mark.asyncio
        async def test_waits(database):
            await shop.add("apple")
            Path("waiting").touch()
            await asyncio.sleep(30)
        """
    )
    folder = project.pytester.path
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *project.named_plugins(), *OPTIONS],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )

    waited = 0.0
    while not (folder / "waiting").exists() and process.poll() is None and waited < 30:
        time.sleep(0.05)  # for a process: there is no event
        waited += 0.05
    there = server.databases()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert len(there) == 1, output
    assert "KeyboardInterrupt" in output
    assert server.databases() == []


def test_every_worker_of_xdist_has_its_own(project: Project, server: Server) -> None:
    if util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    project.write(
        test_shared="""
        import os

        import pytest
        import shop


        @pytest.mark.asyncio
        @pytest.mark.parametrize("attempt", range(6))
        async def test_anything(created_database, attempt):
            async with created_database:
                await shop.add(f"{attempt}")
                mine = len(await shop.names())
            print(os.environ["PYTEST_XDIST_WORKER"], created_database.url.database, mine)
        """
    )

    result = project.run_process("-p", "xdist", "-n", "2", "-rP")

    result.assert_outcomes(passed=6)
    told = re.findall(r"(gw\d) (\S+_test_\S+) (\d)", result.stdout.str())
    assert len({worker for worker, _, _ in told}) == len({name for _, name, _ in told}) == 2
    for name in {name for _, name, _ in told}:
        counts = sorted(int(count) for _, each, count in told if each == name)
        assert counts == list(range(1, len(counts) + 1))


@requires("file")
def test_application_database_must_be_named(project: Project) -> None:
    project.write(conftest="", test_shop="def test_anything(database): pass")

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*write in conftest.py a fixture application_database*")


def test_plugin_of_the_package_loads_nothing_until_it_is_used(tmp_path: Path) -> None:
    """As installed: pytest finds the entry point of pyproject.toml by itself."""
    (tmp_path / "kit.dist-info").mkdir()
    (tmp_path / "kit.dist-info" / "METADATA").write_text("Name: kit\nVersion: 1\n")
    found = re.search(
        r"^\[project.entry-points.pytest11\]\n((?:.+\n)+)",
        (ROOT / "pyproject.toml").read_text("utf-8"),
        re.MULTILINE,
    )
    assert found is not None
    points = found.group(1).replace('"', "")
    (tmp_path / "kit.dist-info" / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\n"
        "def test_other(pytestconfig):\n"
        "    assert 'databases.testing.plugin' in sys.modules\n"
        "    assert not {'sqlalchemy', 'databases.core', 'asyncpg'} & set(sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
