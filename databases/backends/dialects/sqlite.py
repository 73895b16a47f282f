"""SQLAlchemy's SQLite dialect, and what runs on a connection's thread.

Each function is one hop to the thread: execute, fetch and close together.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.cursors import EMPTY, names_of
from databases.backends.common.driver import Called, Fetched, Outcome, RawConnection, Row, Value
from databases.backends.common.kinds import Kind, kind_of, may_update, returns_rows
from databases.backends.common.plans import Plan
from databases.backends.common.pragmas import read_pragmas
from databases.backends.dialects.postgresql import read_isolation, refuse_unknown
from databases.backends.dialects.threads import hop, send
from databases.backends.dialects.writing import COMMENT, SKIP, is_setting
from databases.errors import ConfigurationError

__all__ = [
    "Place",
    "RowStream",
    "assign",
    "begin",
    "begin_statement",
    "call",
    "execute",
    "execute_many",
    "fetch",
    "fetch_first",
    "fetch_many",
    "find_place",
    "forget_last_id",
    "make_dialect",
    "read_arguments",
    "roll_back",
    "run",
    "strengths",
]

_WRITES = (Kind.INSERT, Kind.UPDATE)
# Quoted text and comments, in which a semicolon ends nothing, and those that do.
_EDGE = re.compile(
    r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)"
    rf"|{COMMENT}|;"
)
_TRIGGER = re.compile(
    rf"{SKIP}(?:explain\b{SKIP}(?:query\b{SKIP}plan\b{SKIP})?)?"
    rf"create\b{SKIP}(?:temp(?:orary)?\b{SKIP})?trigger\b",
    re.IGNORECASE,
)
_END = re.compile(rf"{SKIP}end{SKIP}", re.IGNORECASE)
_MAKE_LAST_ID = "CREATE TEMP TABLE IF NOT EXISTS databases_last_id (id INTEGER PRIMARY KEY)"
_FORGET = "REPLACE INTO temp.databases_last_id VALUES (0)"
_MODES = ("deferred", "immediate", "exclusive")


def make_dialect() -> Dialect:
    """Return the dialect of the SQLite driver."""
    dialect: Dialect = SQLiteDialect_pysqlite(paramstyle="qmark")
    return dialect


def read_arguments(arguments: dict[str, Any]) -> None:
    """Put the pragmas of *arguments* into one of its own.

    Raises `ConfigurationError` for a value that cannot work, and where sqlite3
    would begin transactions.
    """
    arguments["pragmas"] = read_pragmas(arguments)
    level, autocommit = arguments.get("isolation_level"), arguments.get("autocommit")
    if level is not None or autocommit is False:
        name, value = ("autocommit", False) if level is None else ("isolation_level", level)
        raise ConfigurationError(
            f"cannot use the option {name!r}: with {value!r} sqlite3 would begin "
            "transactions that nobody commits; use transaction(mode=...) instead"
        )


class Place(NamedTuple):
    """Where a database is, and how long."""

    filename: str
    is_uri: bool
    is_shared: bool
    """Whether every connection that opens it finds the same database."""
    is_forgotten: bool
    """Whether it is gone when the last of them is closed."""

    def hold(self) -> sqlite3.Connection | None:
        """Return a connection that keeps a database that would be forgotten."""
        if not self.is_forgotten:
            return None
        return sqlite3.connect(
            self.filename, uri=True, check_same_thread=False, isolation_level=None
        )


def find_place(filename: str, *, is_uri: bool) -> Place:
    """Return where the connections of a pool find the database *filename*."""
    if filename in ("", ":memory:"):
        # All connections of this pool, and no others, share the name.
        own = f"file:/databases-{uuid.uuid4().hex}?vfs=memdb"
        return Place(own, is_uri=True, is_shared=True, is_forgotten=True)
    in_memory = ":memory:" in filename or "mode=memory" in filename
    is_shared = "cache=shared" in filename
    is_forgotten = in_memory and is_shared and is_uri and filename.startswith("file:")
    return Place(filename, is_uri, is_shared or not in_memory, is_forgotten)


def strengths(options: Mapping[str, Any]) -> dict[str, int]:
    """Return how much a transaction with *options* has of each; see `Driver.strengths`."""
    return {"mode": _MODES.index(_read_mode(options)), "isolation": 0}


def begin_statement(options: Mapping[str, Any]) -> str:
    """Return the BEGIN that *options* ask for."""
    return f"BEGIN {_read_mode(options).upper()}" if options else "BEGIN"


def _read_mode(options: Mapping[str, Any]) -> str:
    refuse_unknown(options, ("mode", "isolation"), "SQLite")
    isolation = read_isolation(options.get("isolation"))
    if isolation not in (None, "serializable"):
        raise ConfigurationError(
            f"cannot begin a transaction: SQLite has no isolation level {isolation!r}; "
            "its transactions are always serializable"
        )
    mode = str(options.get("mode") or "deferred").lower()
    if mode not in _MODES:
        raise ConfigurationError(
            f"cannot begin a transaction: {mode!r} is no mode; give one of {', '.join(_MODES)}"
        )
    return mode


def fetch(connection: sqlite3.Connection, sql: str, args: Any) -> Fetched:
    """Run *sql* and read every row."""
    cursor = connection.execute(sql, args)
    if cursor.description is None:
        return EMPTY
    return Fetched(names_of(cursor), cursor.fetchall())


def fetch_many(cursor: sqlite3.Cursor, size: int) -> list[Any]:
    """Read the next rows; the end closes the cursor."""
    rows = cursor.fetchmany(size)
    if not rows:
        cursor.close()
    return rows


def fetch_first(connection: sqlite3.Connection, sql: str, args: Any) -> Fetched:
    """Run *sql* and read its first row."""
    cursor = connection.execute(sql, args)
    if cursor.description is None:
        return EMPTY
    row = cursor.fetchone()
    found = EMPTY if row is None else Fetched(names_of(cursor), (row,))
    cursor.close()  # an unfinished SELECT would keep its lock
    return found


def assign(is_given_up: Callable[[], bool], connection: sqlite3.Connection, sql: str) -> Fetched:
    """Run the PRAGMA *sql*, unless its caller is gone when the lock is that it waits for."""
    if connection.in_transaction:
        return fetch(connection, sql, ())
    connection.execute("BEGIN")
    try:
        fetched = fetch(connection, sql, ())
        _heed(is_given_up)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    return fetched


def execute(
    is_given_up: Callable[[], bool],
    connection: sqlite3.Connection,
    sql: str,
    args: Any,
    plan: Plan,
    *,
    may_stream: bool = False,
) -> Outcome:
    """Run *sql*, or every statement of a script, for its effect; see `call` for *may_stream*."""
    if plan.kind is not Kind.INSERT or not may_update(sql):
        return _execute(is_given_up, connection, sql, args, plan)
    before = forget_last_id(connection, may_stream=may_stream)
    outcome = _execute(is_given_up, connection, sql, args, plan)
    return outcome._replace(last_id=0) if outcome.last_id == before else outcome


def _execute(
    is_given_up: Callable[[], bool],
    connection: sqlite3.Connection,
    sql: str,
    args: Any,
    plan: Plan,
) -> Outcome:
    try:
        is_alone = plan.kind in _WRITES or _commits(sql, plan.kind)
        if is_alone and not connection.in_transaction:
            return _write(is_given_up, connection, sql, args, plan)
        return _outcome(connection.execute(sql, args), sql, plan)
    except (sqlite3.ProgrammingError, sqlite3.Warning) as error:
        if args or "one statement" not in str(error):
            raise
    was_inside = connection.in_transaction
    try:
        return _execute_script(is_given_up, connection, sql, plan)
    except BaseException:
        if is_given_up() and not was_inside:
            roll_back(connection)  # what the script has begun itself
        raise


def _commits(sql: str, kind: Kind) -> bool:
    """Tell whether *sql* may commit by itself what its caller has given up meanwhile."""
    return kind in _WRITES or (kind is Kind.OTHER and is_setting(sql))


def _execute_script(
    is_given_up: Callable[[], bool], connection: sqlite3.Connection, sql: str, plan: Plan
) -> Outcome:
    """Run every statement of *sql*, and none after its caller has gone."""
    outcome: Outcome | None = None
    cursor = connection.cursor()
    for statement in _statements(sql):
        cursor.close()  # what it has not read would keep a lock
        _heed(is_given_up)
        outcome = None
        if not connection.in_transaction and _commits(statement, kind_of(statement)):
            outcome = _write(is_given_up, connection, statement, (), plan)
        else:
            cursor = connection.execute(statement)
    if outcome is None:
        outcome = _outcome(cursor, sql, plan)
    _heed(is_given_up)
    return outcome


def _heed(is_given_up: Callable[[], bool]) -> None:
    # While SQLite waits for a lock, nothing can interrupt it.
    if is_given_up():
        raise sqlite3.OperationalError("interrupted")


def _write(
    is_given_up: Callable[[], bool],
    connection: sqlite3.Connection,
    sql: str,
    args: Any,
    plan: Plan,
) -> Outcome:
    """Run *sql* and commit it, unless its caller is gone when another process's lock is."""
    connection.execute("BEGIN")
    try:
        outcome = _outcome(connection.execute(sql, args), sql, plan)
        _heed(is_given_up)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    return outcome


def _outcome(cursor: sqlite3.Cursor, sql: str, plan: Plan) -> Outcome:
    row: Row | None = None
    names: tuple[str, ...] = ()
    # Of a SELECT, the row count alone is told.
    if (
        plan.returns_rows
        and cursor.description
        and not sql.lstrip()[:6].lower().startswith("select")
    ):
        row, names = cursor.fetchone(), names_of(cursor)
        cursor.fetchall()  # RETURNING acts on every row
    count = cursor.rowcount
    if count < 0 and plan.kind in _WRITES:  # sqlite3 does not count what begins with WITH
        count = cursor.connection.execute("SELECT changes()").fetchone()[0]
    # Without a new row it is the last one's, whichever table that went into.
    outcome = Outcome(row, names, count, cursor.lastrowid if count else 0)
    cursor.close()
    return outcome


def call(
    connection: sqlite3.Connection, sql: str, args: Any, *, may_stream: bool = False
) -> Called:
    """Run *sql* and read everything that it answers.

    *may_stream* tells whether rows may be read on this connection meanwhile.
    """
    before = forget_last_id(connection, may_stream=may_stream) if may_update(sql) else 0
    cursor = connection.execute(sql, args)
    last_id = 0 if cursor.lastrowid == before else cursor.lastrowid
    if cursor.description is None:
        called = Called(None, (), cursor.rowcount, last_id)
    else:
        called = Called(names_of(cursor), cursor.fetchall(), cursor.rowcount, last_id)
    cursor.close()
    return called


def execute_many(connection: sqlite3.Connection, sql: str, rows: Any) -> None:
    """Run *sql* once per row."""
    if not returns_rows(sql, kind_of(sql)):
        connection.executemany(sql, rows).close()
        return
    for row in rows:  # executemany() refuses what answers with rows
        connection.execute(sql, row).fetchall()


def forget_last_id(connection: sqlite3.Connection, *, may_stream: bool) -> int:
    """Let SQLite's last row id be 0, which is what it is told where an upsert updates.

    Returns what it is told then: the last one, where it cannot be changed.
    """
    try:
        connection.execute(_FORGET).close()
    except sqlite3.OperationalError:  # the table is not there
        if connection.in_transaction:
            (last_id,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            # Rolled back with the transaction, a new table would end every stream.
            if may_stream or not last_id:
                return int(last_id)
        connection.execute(_MAKE_LAST_ID).close()
        connection.execute(_FORGET).close()
    return 0


def begin(connection: sqlite3.Connection, statement: str, *, may_stream: bool = False) -> None:
    """Run the BEGIN *statement*; see `call` for *may_stream*."""
    if may_stream:
        # While it can be: see forget_last_id.
        with contextlib.suppress(sqlite3.Error):
            connection.execute(_MAKE_LAST_ID).close()
    connection.execute(statement).close()


def run(connection: sqlite3.Connection, sql: str) -> None:
    """Run a statement that has neither parameters nor rows."""
    connection.execute(sql).close()


def roll_back(connection: sqlite3.Connection) -> None:
    """Roll back, unless SQLite has done so."""
    if connection.in_transaction:
        connection.execute("ROLLBACK").close()


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of *script*, as ``sqlite3_complete()`` would tell them apart."""
    start = previous = 0
    is_trigger: bool | None = None
    for match in _EDGE.finditer(script):
        if match[0] != ";":
            continue
        if is_trigger is None:
            is_trigger = _TRIGGER.match(script, start) is not None
        # Those of a trigger are part of it, up to "; END ;".
        if not is_trigger or (previous > start and _END.fullmatch(script, previous, match.start())):
            yield script[start : match.end()]
            start, is_trigger = match.end(), None
        previous = match.end()
    if script[start:].strip():
        yield script[start:]


def _open_cursor(raw: RawConnection, sql: str, args: Sequence[Value]) -> sqlite3.Cursor:
    cursor: sqlite3.Cursor = raw._conn.execute(sql, args)
    if not hasattr(raw, "cursors"):
        raw.cursors = WeakSet()
    raw.cursors.add(cursor)  # to be closed with the connection, if not before
    return cursor


class RowStream:
    """Rows that SQLite finds as they are asked for."""

    def __init__(self, raw: RawConnection, cursor: sqlite3.Cursor) -> None:
        self._raw = raw
        self._cursor = cursor
        self.names: Sequence[str] = () if cursor.description is None else names_of(cursor)

    @classmethod
    async def open(cls, raw: RawConnection, sql: str, args: Sequence[Value]) -> RowStream:
        """Run *sql*, and leave its rows in the cursor."""
        opening = send(raw, _open_cursor, raw, sql, args)
        try:
            return cls(raw, await opening)
        except BaseException:
            # A cursor that comes in the step of a cancellation keeps its lock
            # for as long as somebody keeps what is raised here.
            opening.cancel()
            if not opening.cancelled() and opening.exception() is None:
                cls(raw, opening.result()).abandon()
            raise

    async def fetch(self, size: int) -> Sequence[Sequence[Value]]:
        """Return the next rows; none at the end, which closes the cursor."""
        rows: Sequence[Sequence[Value]] = await hop(self._raw, fetch_many, self._cursor, size)
        return rows

    def abandon(self) -> bool:
        """Let the thread close the cursor, which would keep its lock otherwise."""
        if self._raw._running:
            send(self._raw, self._cursor.close)
        return True
