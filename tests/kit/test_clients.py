"""The fixtures and the `TestClient` of Starlette and FastAPI: another thread, another loop."""

from __future__ import annotations

import fastapi.testclient
import httpx
import pytest
import starlette.testclient

from tests.kit.conftest import Project

# Loaded here, to stay loaded: see `server`.
LOADED = (fastapi.testclient, httpx, starlette.testclient)

LIFESPAN = """
    from contextlib import asynccontextmanager

    import shop


    @asynccontextmanager
    async def lifespan(app):
        async with shop.database:
            yield
"""

STARLETTE = """
    import shop
    from lifespan import lifespan
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient


    async def add(request):
        await shop.add(request.path_params["name"])
        return JSONResponse(await shop.names())


    app = Starlette(routes=[Route("/{name}", add, methods=["POST"])], lifespan=lifespan)
"""

FASTAPI = """
    import shop
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from lifespan import lifespan

    app = FastAPI(lifespan=lifespan)


    @app.post("/{name}")
    async def add(name: str):
        await shop.add(name)
        return await shop.names()
"""

TESTS = """
    import httpx
    import pytest
    import shop
    from web import TestClient, app

    twice = pytest.mark.parametrize("attempt", [1, 2])


    @pytest.fixture
    def client(database):
        with TestClient(app) as client:
            yield client


    @twice
    def test_is_rolled_back(client, attempt):
        assert client.post("/apple").json() == ["apple"]
        assert client.post("/pear").json() == ["apple", "pear"]


    @twice
    def test_writes_through_the_portal(client, attempt):
        client.portal.call(shop.add, "fig")

        assert client.post("/apple").json() == ["fig", "apple"]
        assert client.portal.call(shop.names) == ["fig", "apple"]


    def test_fresh_database_outlives_the_client(fresh_database):
        for number, name in enumerate(["apple", "pear"], 1):
            with TestClient(app) as client:
                assert len(client.post(f"/{name}").json()) == number


    @twice
    @pytest.mark.anyio
    async def test_client_on_the_loop_of_the_test(database, attempt):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await shop.add("fig")
            answer = await client.post("/apple")

        assert answer.json() == ["fig", "apple"]
"""


@pytest.mark.parametrize("web", [STARLETTE, FASTAPI], ids=["starlette", "fastapi"])
def test_every_test_is_isolated(project: Project, web: str) -> None:
    project.write(lifespan=LIFESPAN, web=web, test_shop=TESTS)

    result = project.run()

    result.assert_outcomes(passed=7)
