"""Handlers that a middleware runs in a child task, while the test holds a transaction."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from databases import Database
from tests.compat.web import served
from tests.support.outside import Outside
from tests.support.tables import notes

IDS = sa.select(notes.c.id).order_by(notes.c.id)


class Passing(BaseHTTPMiddleware):
    """Passes the request on; Starlette runs what is below it in a child task."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.task = asyncio.current_task()
        return await call_next(request)


def _application(database: Database) -> Starlette:
    async def add(request: Request) -> JSONResponse:
        async with database.transaction():
            await database.execute(notes.insert(), {"id": int(request.query_params["id"])})
        return JSONResponse({"child": request.state.task is not asyncio.current_task()})

    @database.transaction()
    async def decorated(request: Request) -> JSONResponse:
        await database.execute(notes.insert(), {"id": int(request.query_params["id"])})
        return JSONResponse({"ids": await _ids(database)})

    async def show(request: Request) -> JSONResponse:
        return JSONResponse({"ids": await _ids(database)})

    return Starlette(
        routes=[
            Route("/add", add, methods=["POST"]),
            Route("/decorated", decorated, methods=["POST"]),
            Route("/show", show),
        ],
        middleware=[Middleware(Passing), Middleware(Passing)],
    )


def _client(application: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def _ids(database: Database) -> list[Any]:
    return [row[0] for row in await database.fetch_all(IDS)]


@pytest.mark.parametrize("path", ["/add", "/decorated"])
async def test_handler_nests_in_the_transaction_of_the_test(outside: Outside, path: str) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with _client(_application(database)) as client:
            async with database.transaction(force_rollback=True):
                for number in (1, 2):
                    answer = await client.post(path, params={"id": number})
                    assert answer.status_code == 200
                assert await _ids(database) == [1, 2]
            assert await _ids(database) == []

    assert outside.count(notes) == 0


async def test_handler_runs_in_another_task_than_the_test(outside: Outside) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with _client(_application(database)) as client, database.transaction():
            answer = await client.post("/add", params={"id": 1})

    assert answer.json() == {"child": True}


async def test_handler_sees_what_the_test_wrote(outside: Outside) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with _client(_application(database)) as client, database.transaction():
            await database.execute(notes.insert(), {"id": 7})
            answer = await client.get("/show")

    assert answer.json() == {"ids": [7]}


async def test_failing_handler_leaves_the_transaction_of_the_test(outside: Outside) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with _client(_application(database)) as client, database.transaction():
            await database.execute(notes.insert(), {"id": 7})
            with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
                await client.post("/decorated", params={"id": 7})

            assert await _ids(database) == [7]


async def test_concurrent_handlers_take_turns_inside_the_transaction(outside: Outside) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with _client(_application(database)) as client, database.transaction():
            answers = await asyncio.gather(
                *(client.post("/decorated", params={"id": number}) for number in range(1, 11))
            )
            ids = await _ids(database)

    assert [answer.status_code for answer in answers] == [200] * 10
    assert ids == list(range(1, 11))
    assert outside.count(notes) == 0


async def test_handlers_without_a_transaction_around_them(outside: Outside) -> None:
    async with Database(outside.url) as database:
        async with _client(_application(database)) as client:
            await asyncio.gather(
                *(client.post("/decorated", params={"id": number}) for number in range(1, 11))
            )

    assert outside.column(notes.c.id) == list(range(1, 11))


async def test_middleware_over_real_http_with_force_rollback(outside: Outside) -> None:
    async with Database(outside.url, force_rollback=True) as database:
        async with database.transaction(force_rollback=True):
            async with served(_application(database)) as client:
                await client.post("/add", params={"id": 1})
                answer = await client.post("/decorated", params={"id": 2})
            assert answer.json() == {"ids": [1, 2]}
        assert await _ids(database) == []

    assert outside.count(notes) == 0
