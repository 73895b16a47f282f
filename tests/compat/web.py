"""Web applications on Starlette and FastAPI, and a server that speaks real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fastapi
import httpx
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from databases import Database
from tests.support.tables import notes

COUNT = sa.select(sa.func.count()).select_from(notes)


class Server(uvicorn.Server):
    """A server that leaves the signals of the process alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(application: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve *application* on a free port, and give a client that knows it."""
    config = uvicorn.Config(application, lifespan="on", log_config=None, ws="none")
    server = Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await server.up.wait()
        try:
            assert server.started, "the application did not start"
            async with httpx.AsyncClient(
                base_url=f"http://{host}:{port}", timeout=30, trust_env=False
            ) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


def _lifespan(database: Database) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[None]:
        async with database:
            yield

    return lifespan


def starlette_application(database: Database) -> Starlette:
    """Make the service on Starlette: every handler is under one shared decorator."""
    transaction = database.transaction()

    @transaction
    async def add(request: Request) -> JSONResponse:
        text = request.query_params["text"]
        await database.execute(notes.insert(), {"text": text})
        found = await database.fetch_val(COUNT.where(notes.c.text == text))
        if "fail" in request.query_params:
            raise HTTPException(409, "refused")
        return JSONResponse({"text": text, "found": found})

    @transaction
    async def show(request: Request) -> JSONResponse:
        rows = await database.fetch_all(notes.select().order_by(notes.c.text))
        return JSONResponse([dict(row) for row in rows])

    return Starlette(
        routes=[Route("/notes", add, methods=["POST"]), Route("/notes", show)],
        lifespan=_lifespan(database),
    )


def fastapi_application(database: Database) -> fastapi.FastAPI:
    """Make the same service on FastAPI."""
    application = fastapi.FastAPI(lifespan=_lifespan(database))
    transaction = database.transaction()

    @application.post("/notes")
    @transaction
    async def add(text: str, fail: bool = False) -> dict[str, Any]:
        await database.execute(notes.insert(), {"text": text})
        found = await database.fetch_val(COUNT.where(notes.c.text == text))
        if fail:
            raise HTTPException(409, "refused")
        return {"text": text, "found": found}

    @application.get("/notes", response_model=None)
    @transaction
    async def show() -> Any:
        return [dict(row) for row in await database.fetch_all(notes.select())]

    return application


APPLICATIONS = {"starlette": starlette_application, "fastapi": fastapi_application}
