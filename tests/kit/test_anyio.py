"""The fixtures under the plugin of anyio."""

from __future__ import annotations

from tests.kit.conftest import Project
from tests.support.drivers import requires

TESTS = """
    import anyio
    import pytest
    import shop

    pytestmark = pytest.mark.anyio
    twice = pytest.mark.parametrize("attempt", [1, 2])


    @pytest.fixture
    async def apple(database):
        await shop.add("apple")
        yield "apple"
        assert "apple" in await shop.names()


    @twice
    async def test_is_rolled_back(database, attempt):
        assert await shop.names() == []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shop.add, "pear")
            tasks.start_soon(shop.add, "fig")

        assert sorted(await shop.names()) == ["fig", "pear"]


    @twice
    async def test_fixture_writes_too(apple, attempt):
        await shop.add("pear")

        assert await shop.names() == [apple, "pear"]


    async def test_fresh_database_commits(fresh_database):
        assert await shop.names() == []
        await shop.add("kept")
        await fresh_database.disconnect()
        await fresh_database.connect()

        assert await shop.names() == ["kept"]
"""


def test_database_and_fresh_database(project: Project) -> None:
    project.write(test_shop=TESTS)

    result = project.run()

    result.assert_outcomes(passed=5)


@requires("file")
def test_another_backend_than_asyncio_is_refused(project: Project) -> None:
    project.write(
        test_shop="""
        import pytest


        @pytest.fixture
        def anyio_backend_name():
            return "trio"


        @pytest.mark.anyio
        async def test_anything(database):
            pass
        """
    )

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*cannot connect on trio: databases runs on asyncio*")
