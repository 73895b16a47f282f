"""The fixtures under pytest-asyncio, in both modes and every loop scope."""

from __future__ import annotations

import pytest

from databases.testing import plugin
from tests.kit.conftest import Project
from tests.support.drivers import requires

SCOPES = ("function", "class", "module", "package", "session")

TESTS = """
    import asyncio

    import pytest
    import pytest_asyncio
    import shop

    pytestmark = pytest.mark.asyncio(loop_scope="{scope}")
    twice = pytest.mark.parametrize("attempt", [1, 2])


    @pytest_asyncio.fixture(loop_scope="{scope}")
    async def apple(database):
        await shop.add("apple")
        yield "apple"
        assert "apple" in await shop.names()


    @twice
    async def test_is_rolled_back(database, attempt):
        assert await shop.names() == []

        await shop.add("pear")
        await asyncio.gather(shop.add("fig"), shop.add("plum"))
        with pytest.raises(ZeroDivisionError):
            async with database.transaction():
                await shop.add("lost")
                raise ZeroDivisionError

        assert sorted(await shop.names()) == ["fig", "pear", "plum"]


    @twice
    async def test_fixture_in_another_task_writes_too(apple, attempt):
        await shop.add("pear")

        assert await shop.names() == [apple, "pear"]


    class TestInClass:
        @twice
        async def test_method(self, apple, database, attempt):
            assert database is shop.database
            assert await shop.names() == [apple]


    async def test_nothing_is_left(database):
        assert await shop.names() == []
"""

FRESH = """
    import pytest
    import shop

    pytestmark = pytest.mark.asyncio(loop_scope="module")


    @pytest.mark.parametrize("attempt", [1, 2])
    async def test_commits(fresh_database, attempt):
        assert await shop.names() == []
        await shop.add("kept")
        await fresh_database.disconnect()
        await fresh_database.connect()

        assert await shop.names() == ["kept"]


    async def test_is_not_the_database_of_the_run(database):
        assert await shop.names() == []


    async def test_both_at_once(database, fresh_database):
        pass
"""


def _write(project: Project, *scopes: str) -> None:
    for scope in scopes:
        project.write(**{f"test_{scope}": TESTS.format(scope=scope)})


def test_strict_mode_in_every_loop_scope(project: Project) -> None:
    _write(project, *SCOPES)

    result = project.run("-o", "asyncio_mode=strict")

    result.assert_outcomes(passed=7 * len(SCOPES))


def test_fresh_database(project: Project) -> None:
    project.write(test_fresh=FRESH)

    result = project.run("-o", "asyncio_mode=strict")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines("*InterfaceError*the Database is connected already*")


@requires("file")
@pytest.mark.parametrize("scope", ["function", "session"])
def test_auto_mode_with_default_loop_scopes(project: Project, scope: str) -> None:
    unmarked = TESTS.replace('pytestmark = pytest.mark.asyncio(loop_scope="{scope}")', "")
    project.write(
        test_auto=unmarked.replace('(loop_scope="{scope}")', "").replace("_asyncio.", ".")
    )

    result = project.run(
        *("-o", "asyncio_mode=auto"),
        *("-o", f"asyncio_default_test_loop_scope={scope}"),
        *("-o", f"asyncio_default_fixture_loop_scope={scope}"),
    )

    result.assert_outcomes(passed=7)


@requires("file")
def test_fixture_loop_scope_may_differ_from_the_default(project: Project) -> None:
    _write(project, "module")

    result = project.run("-o", "asyncio_default_fixture_loop_scope=session")

    result.assert_outcomes(passed=7)


@requires("file")
def test_old_release_is_left_alone_and_told_when_it_matters(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "_knows_loop_scopes", lambda config: False)
    project.write(
        test_old="""
        import pytest

        pytestmark = pytest.mark.asyncio


        async def test_of_something_else():
            pass


        async def test_anything(database):
            pass
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("*this pytest-asyncio is too old; install 1.1 or newer")
