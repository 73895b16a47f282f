"""Run by Alembic: migrates over the driver of the service."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from alembic import context

from examples.bookings.store import database, metadata


def migrate(connection: sa.Connection) -> None:
    """Run the migrations that were asked for."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite changes a table by making it anew.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    """Migrate from the command line."""
    async with database:
        await database.run_sync(migrate)


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)  # a test has called Alembic
else:
    asyncio.run(connect_and_migrate())
