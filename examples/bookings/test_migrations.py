"""The migrations lead to the tables of the code, and back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from databases import Database
from examples.bookings import store
from examples.bookings.conftest import config_for


@pytest.mark.asyncio
async def test_migrations_make_the_tables_of_the_code(fresh_database: Database) -> None:
    def compare(connection: sa.Connection) -> list[object]:
        found = MigrationContext.configure(connection)
        return list(compare_metadata(found, store.metadata))

    assert await fresh_database.run_sync(compare) == []


@pytest.mark.asyncio
async def test_migrations_can_be_undone_and_done_again(fresh_database: Database) -> None:
    def back_and_forth(connection: sa.Connection) -> None:
        command.downgrade(config_for(connection), "base")
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
        command.upgrade(config_for(connection), "head")

    await fresh_database.run_sync(back_and_forth)

    await store.add_room("blue", 4)
    assert [room.name for room in await store.list_rooms(1)] == ["blue"]
