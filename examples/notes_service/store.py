"""The database of the notes service: its tables, its options, its transaction."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy

from databases import Database, DatabaseURL

DEFAULT_URL = "sqlite:///notes.db"
FIRST_ACCOUNTS = ("ada", "bob", "cleo", "dan", "eve", "finn", "gus", "hana", "ivo", "june")
FIRST_BALANCE = 1_000

metadata = sqlalchemy.MetaData()

notes = sqlalchemy.Table(
    "notes_service_notes",
    metadata,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("author", sqlalchemy.String(40), nullable=False),
    sqlalchemy.Column("text", sqlalchemy.String(500), nullable=False),
)

accounts = sqlalchemy.Table(
    "notes_service_accounts",
    metadata,
    sqlalchemy.Column("name", sqlalchemy.String(40), primary_key=True),
    sqlalchemy.Column("balance", sqlalchemy.Integer, nullable=False),
)


def connection_options(url: DatabaseURL) -> dict[str, Any]:
    """Choose options for *url*; those in its query are left alone.

    SQLite lets one connection write at a time. A writer that waits longer
    than `timeout` seconds gets "database is locked", so let it wait long, and
    let few wait at once: the other requests queue for a connection, in order.
    """
    wanted: dict[str, Any] = {}
    if url.dialect == "sqlite":
        # With a write-ahead log readers do not wait for a writer.
        wanted = {"timeout": 60, "max_size": 5, "journal_mode": "wal"}
    return {name: value for name, value in wanted.items() if name not in url.options}


def transaction_options(url: DatabaseURL) -> dict[str, Any]:
    """Choose how a transaction that reads before it writes begins on *url*.

    PostgreSQL and MySQL lock the rows that `with_for_update()` reads. SQLite
    has no row locks: there the transaction takes the write lock at its start.
    One that began by reading could not be upgraded behind another writer's
    back, and no timeout helps then.
    """
    return {"mode": "immediate"} if url.dialect == "sqlite" else {}


def insert_with_key(url: DatabaseURL, table: sqlalchemy.Table) -> sqlalchemy.Insert:
    """Build an insert whose `execute()` returns the new key on every driver.

    aiopg tells the key only where RETURNING asks for it; MySQL has no
    RETURNING, and does not need it.
    """
    insert = table.insert()
    return insert.returning(*table.primary_key) if url.dialect.startswith("postgres") else insert


url = DatabaseURL(os.environ.get("DATABASE_URL") or DEFAULT_URL)
database = Database(url, **connection_options(url))

insert_note = insert_with_key(url, notes)

# One object for every handler and every request: each call that it decorates
# runs in a transaction of its own.
atomic = database.transaction(**transaction_options(url))


async def prepare() -> None:
    """Create the tables that are not there, and open the first accounts."""
    await database.create_all(metadata)

    @atomic
    async def open_accounts() -> None:
        if await database.fetch_one(accounts.select().limit(1)) is None:
            rows = [{"name": name, "balance": FIRST_BALANCE} for name in FIRST_ACCOUNTS]
            await database.execute_many(accounts.insert(), rows)

    await open_accounts()
