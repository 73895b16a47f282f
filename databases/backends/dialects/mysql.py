"""What the two MySQL drivers share: the dialect, the driver's verbs, the words of a transaction."""

from __future__ import annotations

import ssl
import traceback
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.engine.interfaces import Dialect

from databases.backends.common.cleaning import close_socket
from databases.backends.common.cursors import (
    EMPTY,
    CursorDriver,
    CursorStream,
    Peer,
    heeding,
    names_of,
)
from databases.backends.common.driver import (
    Arguments,
    Fetched,
    Outcome,
    RawConnection,
    Row,
    Stream,
    Value,
    with_password,
)
from databases.backends.common.plans import Plan
from databases.backends.common.tls import MAY_DECLINE
from databases.backends.dialects.literals import require_charset, written
from databases.backends.dialects.postgresql import (
    isolation_strength,
    read_isolation,
    refuse_unknown,
)
from databases.errors import ConfigurationError
from databases.limits import limited
from databases.urls import DatabaseURL

__all__ = ["MySQLDriver", "make_dialect"]

# The server ended the whole transaction, not the statement alone.
_DEADLOCK = 1213
# The statement alone has failed: duplicates, NULLs, foreign keys and checks,
# names, syntax, values of a wrong type or size.
_HARMLESS = frozenset((1022, 1048, 1050, 1051, 1054, 1060, 1061, 1062, 1064, 1091, 1136, 1142))
_HARMLESS |= {1146, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 1690, 3819, 4025}
# The connection is gone or the server is going: 2006 and 2013 are the client's.
_CONNECTION_ERRORS = frozenset((0, 1053, 1927, 2003, 2006, 2013, 2014, 2027, 2055, 4031))


CONNECT_TIMEOUT = 60.0
"""Seconds that a server has to let a client in, where no option says otherwise."""

_WHICH_SERVER = """\
SELECT concat_ws(' ', @@hostname, @@port, @@server_id, @@datadir), @@character_set_client"""


class _Session(NamedTuple):
    """What tells a connection's session from those of other servers."""

    number: int
    port: int | None
    """Our end's; None over a Unix socket."""
    server: str | None
    """What the server says of itself; None where it does not."""


class MySQLDialect(MySQLDialect_pymysql):
    """MySQL and MariaDB; explicit RETURNING is the server's to accept."""

    supports_statement_cache = True
    insert_returning = True
    delete_returning = True
    update_returning = True


def make_dialect() -> Dialect:
    """Return the dialect as programs compile with it: parameters have names."""
    dialect: Dialect = MySQLDialect(paramstyle="pyformat")
    return dialect


class MySQLDriver(CursorDriver):
    """Verbs over a connection with the interface of PyMySQL, made asynchronous."""

    interleaves = False
    errors: Any
    """The driver's module of exception classes."""
    stream_cursor: Any
    """The driver's unbuffered cursor class."""
    bulk_insert: Any
    """The driver's pattern of an INSERT that it makes one of many rows: head, values, tail."""

    def __init__(self) -> None:
        super().__init__()
        self._sessions: weakref.WeakKeyDictionary[Any, _Session] = weakref.WeakKeyDictionary()

    def arguments(
        self, url: DatabaseURL, given: Mapping[str, Any], database: str
    ) -> dict[str, Any]:
        """Return what the driver's ``connect()`` takes; *database* names the schema there."""
        arguments: dict[str, Any] = {"autocommit": True}
        if url.hostname:
            arguments["host"] = url.hostname
        if url.options.get("unix_sock"):
            arguments.pop("host", None)
            arguments["unix_socket"] = url.options["unix_sock"]
        if url.port:
            arguments["port"] = url.port
        if url.username is not None:
            arguments["user"] = url.username
        if url.password is not None:
            arguments["password"] = url.password
        if url.database:
            arguments[database] = url.database
        arguments["connect_timeout"] = CONNECT_TIMEOUT
        arguments.update(given)
        arguments.setdefault("charset", "utf8mb4")
        if arguments["autocommit"] is None:
            arguments["autocommit"] = True
        if not arguments["autocommit"]:
            raise ConfigurationError(
                "cannot connect: with autocommit=False, what is executed outside a transaction "
                "would be dropped; leave autocommit on and use database.transaction()"
            )
        if isinstance(arguments.get("password"), str):
            # The drivers make Latin-1 of it; the servers know it in UTF-8.
            arguments["password"] = arguments["password"].encode().decode("latin-1")
        return arguments

    async def opened(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection; in clear text only where that was not ruled out."""
        given = await with_password(arguments)
        may_decline = given.pop(MAY_DECLINE, False)
        try:
            raw = await self._heeded(url, given)
        except self.errors.OperationalError as error:
            # asyncmy begins to encrypt without asking whether the server can.
            reason = error.__context__
            if not isinstance(reason, ssl.SSLError):
                raise
            if not may_decline:
                raise self.errors.OperationalError(
                    2026, f"cannot connect: TLS failed: {reason}"
                ) from error
            return await self._heeded(url, {**given, "ssl": None})
        if given.get("ssl") is not None and not may_decline and not _is_encrypted(raw):
            self.terminate(raw)
            raise self.errors.OperationalError(
                2026, "cannot connect: TLS was asked for and the server does not offer it"
            )
        return raw

    async def _heeded(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        opened: list[RawConnection] = []
        seconds = arguments.get("connect_timeout", CONNECT_TIMEOUT) or None

        async def open_connection() -> None:
            opened.append(await self.open(url, arguments))
            self._sessions[opened[0]] = await self._session(opened[0])

        try:
            # The drivers limit the way to the server, but not how long it keeps silent.
            async with limited(seconds):
                await heeding(open_connection())
        except BaseException as error:
            for raw in opened:
                self.terminate(raw)
            if isinstance(error, TimeoutError):
                raise self.errors.OperationalError(
                    2003, f"cannot connect: the server has not answered within {seconds:g} s"
                ) from error
            raise
        return opened[0]

    async def open(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection by the driver's ``connect()``."""
        raise NotImplementedError

    def terminate(self, raw: RawConnection) -> None:
        """Close the socket."""
        result = getattr(raw, "_result", None)
        if result is not None:
            result.unbuffered_active = False  # else its end is asked of a closed socket
        try:
            raw.close()
        except RuntimeError:  # its event loop is closed
            close_socket(getattr(raw, "_transport", None) or getattr(raw, "_writer", None))
            raw.close()  # nothing is left to be told

    def fileno(self, raw: RawConnection) -> int:
        """Return the file descriptor of the socket."""
        socket = _told(raw, "socket")
        return -1 if socket is None else int(socket.fileno())

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> RawConnection:
        """Open a connection and note how to cancel what it runs."""
        raw = await self.opened(url, arguments)
        server = _told(raw, "peername")
        if isinstance(server, tuple) and _told(raw, "ssl_object") is None:
            # A name may stand for several servers; TLS may have to look at it.
            arguments = {**arguments, "host": server[0], "port": server[1]}
        self._peers[raw] = Peer(url, arguments, self._sessions[raw])
        return raw

    async def close(self, raw: RawConnection) -> None:
        """Say goodbye and close."""
        await raw.ensure_closed()

    async def cancel(self, raw: RawConnection) -> None:
        """Kill the statement over a short-lived connection, if that reaches the same server."""
        peer = self._peers.get(raw)
        self.terminate(raw)
        if peer is None:
            return
        other = await self.opened(peer.url, peer.arguments)
        try:
            if await self._lists(other, peer.server_id):
                await self.run(other, f"KILL {peer.server_id.number}")
        except self.errors.MySQLError:
            pass  # it has ended by itself
        finally:
            self.terminate(other)

    async def _session(self, raw: RawConnection) -> _Session:
        thread, address = raw.thread_id(), _told(raw, "sockname")
        number = int(thread[0] if isinstance(thread, tuple) else thread)
        port = address[1] if isinstance(address, tuple) else None
        try:
            await raw.query(_WHICH_SERVER)
        except self.errors.MySQLError as error:
            if not self.is_clean(error):
                raise
            return _Session(number, port, None)
        server, charset = raw._result.rows[0]
        require_charset(raw, charset)
        return _Session(number, port, server)

    async def _lists(self, raw: RawConnection, session: _Session) -> bool:
        """Tell whether the server of *raw* is the one that has *session*.

        Behind a load balancer it may be another one, and the number that of
        somebody else's session.
        """
        # Not by a cursor, which would show that MySQL 8 warns of its own list.
        await raw.query("SHOW PROCESSLIST")
        listed = {row[0]: (row[1], str(row[2]).rpartition(":")[2]) for row in raw._result.rows}
        own = self._sessions[raw]
        if own.number not in listed or session.number not in listed:
            return False
        (user, port), (its_user, its_port) = listed[own.number], listed[session.number]
        if user != its_user:
            return False
        if port == str(own.port):
            return its_port == str(session.port)
        # A proxy or a translation of addresses is in between, or a Unix socket.
        return session.server is not None and session.server == own.server

    def in_transaction(self, raw: RawConnection) -> bool:
        """Read the flag that came with the last answer."""
        return bool(raw.get_transaction_status())

    def is_clean(self, error: BaseException) -> bool:
        """Trust the server's own errors: they leave the connection in step."""
        if not isinstance(error, self.errors.MySQLError):
            return isinstance(error, (TypeError, ValueError)) and not _came_while_reading(error)
        number = error.args[0] if error.args else 0
        return isinstance(number, int) and number not in _CONNECTION_ERRORS

    def lost_transaction(self, raw: RawConnection, error: BaseException) -> bool | None:
        """Say yes for a deadlock; for an error that may have ended the transaction, who knows.

        Besides, 1020 ends it, 1205 where the server is set so, and on clusters
        more. What DDL has committed before was not ended by *error*.
        """
        number = error.args[0] if error.args and isinstance(error, self.errors.MySQLError) else 0
        if number == _DEADLOCK:
            return True
        return False if number in _HARMLESS or not self.in_transaction(raw) else None

    async def recover(self, raw: RawConnection) -> None:
        """Get an answer that tells whether a transaction is open: errors do not."""
        await self.run(raw, "DO 0")

    async def execute_many(
        self, raw: RawConnection, sql: str, rows: Sequence[Sequence[Value]]
    ) -> None:
        """Run *sql* once per row; an INSERT as one of many rows where the driver can."""
        match = self.bulk_insert.match(sql)
        if match is None or "%" not in (match[3] or ""):
            await super().execute_many(raw, sql, rows)
            return
        # The drivers send what stands behind the values as it is, parameters and all.
        async with raw.cursor() as cursor:
            for row in rows:
                await cursor.execute(sql, row)

    # Without a cursor, which would do no more than this, in as many steps again.

    async def fetch(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read every row; one without a result gives none."""
        if not _is_plain(raw):
            return await super().fetch(raw, sql, args)
        result = await _ask(raw, sql, args)
        if result.description is None:
            return EMPTY
        return Fetched(names_of(result), result.rows)

    async def fetch_first(self, raw: RawConnection, sql: str, args: Arguments) -> Fetched:
        """Run *sql* and read its first row."""
        if not _is_plain(raw):
            return await super().fetch_first(raw, sql, args)
        result = await _ask(raw, sql, args)
        if not result.rows:
            return EMPTY
        return Fetched(names_of(result), result.rows)

    async def execute(self, raw: RawConnection, sql: str, args: Arguments, plan: Plan) -> Outcome:
        """Run *sql* for its effect; read its first row where it may have one."""
        if not _is_plain(raw):
            return await super().execute(raw, sql, args, plan)
        result = await _ask(raw, sql, args)
        row: Row | None = None
        names: tuple[str, ...] = ()
        if plan.returns_rows and result.description is not None:
            row, names = next(iter(result.rows), None), names_of(result)
        return Outcome(row, names, result.affected_rows, result.insert_id)

    async def run(self, raw: RawConnection, sql: str) -> None:
        """Run a statement that has neither parameters nor rows."""
        if _is_plain(raw):
            await _ask(raw, sql, None)
        else:
            await super().run(raw, sql)

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much a transaction with *options* has of each."""
        isolation, readonly = _read_options(options)
        level = isolation_strength(isolation or "repeatable_read")
        return {"isolation": level, "readonly": readonly}

    async def begin(self, raw: RawConnection, options: Mapping[str, Any]) -> None:
        """Begin; the isolation level is set for this one transaction."""
        isolation, readonly = _read_options(options)
        if isolation is not None:
            level = isolation.upper().replace("_", " ")
            await self.run(raw, f"SET TRANSACTION ISOLATION LEVEL {level}")
        await self.run(raw, "START TRANSACTION READ ONLY" if readonly else "BEGIN")

    async def commit(self, raw: RawConnection) -> None:
        """Commit."""
        await self.run(raw, "COMMIT")

    async def rollback(self, raw: RawConnection) -> None:
        """Roll back."""
        await self.run(raw, "ROLLBACK")

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        """Run *sql* unbuffered: its rows are read from the socket as they are asked for."""
        cursor = raw.cursor(self.stream_cursor)
        if hasattr(cursor, "__await__"):
            cursor = await cursor
        await cursor.execute(sql, args)
        return CursorStream(cursor, goes_on=False)


def _is_plain(raw: RawConnection) -> bool:
    """Tell whether nothing else is asked of the cursors of *raw* than that they run statements."""
    plain: bool = getattr(raw, "is_plain", False)  # a program may lend connections of its own
    return plain


async def _ask(raw: RawConnection, sql: str, args: Arguments) -> Any:
    """Return the first result of *sql*, with *args* written into it."""
    await raw.query(sql if args is None else sql % written(raw, args))
    result = raw._result
    if result.warning_count or result.has_next:
        # A cursor tells the server's warnings, and reads the results that follow.
        async with raw.cursor() as cursor:
            await cursor._do_get_result()
    return result


def _read_options(options: Mapping[str, Any]) -> tuple[str | None, bool]:
    refuse_unknown(options, ("isolation", "readonly"), "MySQL")
    return read_isolation(options.get("isolation")), bool(options.get("readonly"))


def _came_while_reading(error: BaseException) -> bool:
    """Tell whether *error* kept a driver from reading the whole answer."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # Compiled code has the names of module and class in front.
        if frame.f_code.co_name.rpartition(".")[2].startswith("_read_"):
            return True
    return False


def _told(raw: RawConnection, name: str) -> Any:
    """Return what the transport of *raw* tells of itself, None where there is none."""
    transport = getattr(raw, "_transport", None) or getattr(raw, "_writer", None)
    return None if transport is None else transport.get_extra_info(name)


def _is_encrypted(raw: RawConnection) -> bool:
    # aiomysql goes on in clear text when the server offers no TLS; asyncmy
    # refuses by itself.
    writer = getattr(raw, "_writer", None)
    return writer is None or writer.get_extra_info("ssl_object") is not None
