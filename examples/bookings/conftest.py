"""Fixtures of the tests: a database that the migrations have made, and the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from databases import Database
from examples.bookings import store
from examples.bookings.app import app


def config_for(connection: sa.Connection) -> Config:
    """Configure Alembic to work on *connection*."""
    config = Config(Path(__file__).parent / "alembic.ini")
    config.attributes["connection"] = connection
    return config


@pytest.fixture(scope="session")
def application_database() -> Database:
    """Name the Database that is tested."""
    return store.database


@pytest.fixture(scope="session")
def database_schema() -> Callable[[Database], Awaitable[None]]:
    """Prepare a new database as it is done in production."""

    async def migrate(database: Database) -> None:
        await database.run_sync(lambda given: command.upgrade(config_for(given), "head"))

    return migrate


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the service, on the event loop of the test, and one room."""
    await store.add_room("blue", 4)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bookings") as client:
        yield client
