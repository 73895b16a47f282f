"""A backend that others could have written: it knows ``databases.interfaces`` and nothing more.

It runs the synchronous ``sqlite3`` in threads, compiles what it is handed by
itself, and gives records that it builds from ``backends.common.records``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from databases import DatabaseURL
from databases.backends.common.records import Record, Row, create_column_maps
from databases.interfaces import ConnectionBackend, DatabaseBackend, TransactionBackend

SCHEME = "threads"
PATH = f"{__name__}:ThreadBackend"


class ThreadBackend(DatabaseBackend):
    """Registered under the scheme ``threads``."""

    def __init__(self, database_url: DatabaseURL | str, **options: Any) -> None:
        self.url = DatabaseURL(database_url)
        self.given = options
        self.running = False
        self.calls: list[tuple[Any, ...]] = []
        self.clauses: list[ClauseElement] = []

    async def connect(self) -> None:
        self.calls.append(("connect",))
        self.running = True

    async def disconnect(self) -> None:
        self.calls.append(("disconnect",))
        self.running = False

    def connection(self) -> ConnectionBackend:
        return ThreadConnection(self)


class Ran(NamedTuple):
    """What a statement gave."""

    names: list[str]
    rows: list[Any]
    last_id: int | None


class ThreadConnection(ConnectionBackend):
    """One ``sqlite3`` connection, opened by ``acquire`` and closed by ``release``."""

    def __init__(self, backend: ThreadBackend) -> None:
        self.backend = backend
        self.sqlite: sqlite3.Connection | None = None
        self.dialect = pysqlite.dialect()

    async def acquire(self) -> None:
        assert self.backend.running, "the backend does not run"
        assert self.sqlite is None, "acquired twice"
        self.backend.calls.append(("acquire",))
        self.sqlite = await asyncio.to_thread(
            sqlite3.connect,
            self.backend.url.database,
            isolation_level=None,
            check_same_thread=False,
        )

    async def release(self) -> None:
        self.backend.calls.append(("release",))
        await asyncio.to_thread(self.raw_connection.close)
        self.sqlite = None

    async def fetch_all(self, query: ClauseElement) -> list[Any]:
        text, arguments, columns = self.compile(query)
        return self.records(await self.run(text, arguments), columns)

    async def fetch_one(self, query: ClauseElement) -> Any:
        text, arguments, columns = self.compile(query)
        records = self.records(await self.run(text, arguments), columns)
        return records[0] if records else None

    async def fetch_val(self, query: ClauseElement, column: Any = 0) -> Any:
        row = await self.fetch_one(query)
        return None if row is None else row[column]

    async def execute(self, query: ClauseElement) -> Any:
        text, arguments, _ = self.compile(query)
        return ("executed", (await self.run(text, arguments)).last_id)

    async def execute_many(self, queries: list[ClauseElement]) -> None:
        self.backend.calls.append(("execute_many", len(queries)))
        for query in queries:
            text, arguments, _ = self.compile(query)
            await self.run(text, arguments)

    async def iterate(self, query: ClauseElement) -> AsyncGenerator[Mapping[Any, Any], None]:
        for record in await self.fetch_all(query):
            yield record

    def transaction(self) -> TransactionBackend:
        return ThreadTransaction(self)

    @property
    def raw_connection(self) -> sqlite3.Connection:
        assert self.sqlite is not None, "not acquired"
        return self.sqlite

    def compile(self, query: ClauseElement) -> tuple[str, list[Any], Any]:
        """Compile as third parties do: by the private names of SQLAlchemy."""
        assert isinstance(query, ClauseElement), type(query)
        self.backend.clauses.append(query)
        compiled: Any = query.compile(
            dialect=self.dialect, compile_kwargs={"render_postcompile": True}
        )
        if not isinstance(compiled, SQLCompiler):
            return str(compiled), [], []
        processors: Any = compiled._bind_processors
        arguments = [
            processors[key](compiled.params[key]) if key in processors else compiled.params[key]
            for key in compiled.positiontup or ()
        ]
        return str(compiled), arguments, compiled._result_columns

    def records(self, ran: Ran, columns: Any) -> list[Record]:
        """Build the records as third parties do: over a ``Row`` of converted values."""
        names = ran.names
        processors = [None] * len(names)
        if columns:
            processors = [
                column.type._cached_result_processor(self.dialect, None) for column in columns
            ]
        metadata = SimpleResultMetaData(names)
        made = [Row(metadata, processors, metadata._keymap, row) for row in ran.rows]
        maps = create_column_maps(columns)
        return [Record(row, columns, self.dialect, maps) for row in made]

    async def run(self, text: str, arguments: list[Any]) -> Ran:
        """Run one statement in a thread.

        Its cursor ends there: Python 3.10 may crash when two threads let go of
        cursors that have rows left.
        """

        def run() -> Ran:
            with contextlib.closing(self.raw_connection.execute(text, arguments)) as cursor:
                names = [column[0] for column in cursor.description or ()]
                return Ran(names, cursor.fetchall(), cursor.lastrowid)

        return await asyncio.to_thread(run)


class ThreadTransaction(TransactionBackend):
    """A transaction, or a savepoint inside one."""

    def __init__(self, connection: ThreadConnection) -> None:
        self.connection = connection
        self.root = True

    async def start(self, is_root: bool, extra_options: dict[Any, Any]) -> None:
        self.root = is_root
        self.connection.backend.calls.append(("start", is_root, dict(extra_options)))
        await self.connection.run("BEGIN" if is_root else "SAVEPOINT inner_one", [])

    async def commit(self) -> None:
        self.connection.backend.calls.append(("commit", self.root))
        await self.connection.run("COMMIT" if self.root else "RELEASE SAVEPOINT inner_one", [])

    async def rollback(self) -> None:
        self.connection.backend.calls.append(("rollback", self.root))
        await self.connection.run("ROLLBACK" if self.root else "ROLLBACK TO inner_one", [])
