"""Writing: which statements of SQLite's write, and whose turn it is to write."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import deque
from collections.abc import Mapping
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.backends.common.kinds import Kind
from databases.backends.dialects.threads import may_hold_cursors, release_cursors

__all__ = [
    "COMMENT",
    "SKIP",
    "WritingTurn",
    "begin_turn",
    "end_turn",
    "is_deferred_begin",
    "is_setting",
    "writes",
]

_CHANGES = (Kind.INSERT, Kind.UPDATE)
LOOK_AFTER = 0.02
"""Seconds after which writers that wait look again whether the present one still writes."""

COMMENT = r"--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)"
SKIP = rf"(?:\s|{COMMENT})*"
"""What may stand before a word, as a pattern."""
_SETTING = re.compile(
    rf"{SKIP}pragma\s+(?:\w+\s*\.\s*)?(?:user_version|application_id|schema_version)\s*[=(]",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    rf"{SKIP}(?:create\s+(?!temp|\s)|drop\s|alter\s|reindex|vacuum|analyze"
    r"|begin\s+(?:immediate|exclusive))",
    re.IGNORECASE,
)
_DEFERRED = re.compile(rf"{SKIP}begin(?:\s+deferred)?(?:\s+transaction)?\s*;?{SKIP}", re.IGNORECASE)


def writes(sql: str, kind: Kind) -> bool:
    """Tell whether the text *sql*, perhaps a script, takes the lock that one writer has."""
    if kind is not Kind.OTHER:
        return kind is not Kind.SELECT
    return bool(_CHANGE.match(sql) or _SETTING.match(sql)) or ";" in sql.rstrip("; \t\r\n")


def is_setting(sql: str) -> bool:
    """Tell whether *sql* is a PRAGMA that writes a value into the file."""
    return _SETTING.match(sql) is not None


def is_deferred_begin(sql: str) -> bool:
    """Tell whether *sql* begins a transaction that holds no lock yet."""
    return _DEFERRED.fullmatch(sql) is not None


async def begin_turn(raw: RawConnection, sql: str = "", kind: Kind = Kind.INSERT) -> None:
    """Wait to write, but never in a transaction that may hold a lock others wait for.

    Does not wait for *sql*, of *kind*, that does not write.
    """
    if kind not in _CHANGES and not writes(sql, kind):
        raw.is_fresh = False
        return
    if may_hold_cursors(raw):
        await release_cursors(raw)
    # A pool that a program made itself lends connections without a turn.
    turn = getattr(raw, "turn", None)
    opened = raw._connection
    if turn is not None and opened and (raw.is_fresh or not opened.in_transaction):
        await turn.take(raw)
    raw.is_fresh = False


def end_turn(raw: RawConnection) -> None:
    """Let the next one write, unless *raw* is inside a transaction."""
    turn = getattr(raw, "turn", None)
    if turn is None:
        return
    if raw._connection and raw._connection.in_transaction:
        turn.rest(raw)
    else:
        turn.give(raw)


class WritingTurn:
    """Lets the writers of one pool take turns.

    SQLite has one writer at a time and lets the others poll, which starves
    some of them when there are hundreds. It is asked all the same: another
    process may write, and after *patience* seconds nobody waits here.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._writer: Any = None
        self._is_at_work = False
        """Whether a statement runs in this turn, which may not have begun to write."""
        self._line: deque[tuple[asyncio.Future[None], Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> WritingTurn:
        """Return one whose patience is SQLite's own with *arguments*."""
        milliseconds = arguments["pragmas"].get("busy_timeout")
        seconds = arguments.get("timeout", 5.0)
        return cls(float(seconds) if milliseconds is None else int(milliseconds) / 1000)

    async def take(self, raw: Any) -> None:
        """Wait until *raw* may write, and until then hold no lock of SQLite's."""
        if self._writer is None:
            self._writer = raw
        elif self._writer is not raw:
            self._look()
            if self._writer is None:
                self._writer = raw
        if self._writer is raw:
            self._is_at_work = True
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._line.append((turn, raw))
        if self._timer is None:
            self._timer = loop.call_later(LOOK_AFTER, self._look_again, loop)
        try:
            await asyncio.wait({turn}, timeout=self._patience)
        except BaseException:
            self.give(raw)
            raise
        finally:
            turn.cancel()

    def rest(self, raw: Any) -> None:
        """Note that *raw* is between two statements of its transaction."""
        if self._writer is raw:
            self._is_at_work = False

    def give(self, raw: Any) -> None:
        """Let the next one write; does nothing when it is not *raw*'s turn."""
        if self._writer is not raw:
            return
        self._writer = None
        self._is_at_work = False
        while self._line:
            turn, following = self._line.popleft()
            if not turn.done():
                self._writer = following
                self._is_at_work = True
                turn.set_result(None)
                return

    def _look(self) -> None:
        """End the turn of a writer whose transaction has ended, in whatever way that was."""
        if not self._is_at_work and not _in_transaction(self._writer):
            self.give(self._writer)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for those that wait: the program may have ended it on the connection itself."""
        self._timer = None
        self._look()
        while self._line and self._line[0][0].done():
            self._line.popleft()
        if self._line:
            self._timer = loop.call_later(LOOK_AFTER, self._look_again, loop)


def _in_transaction(raw: Any) -> bool:
    connection = raw and raw._connection
    try:
        return connection is not None and bool(connection.in_transaction)
    except sqlite3.ProgrammingError:  # closed
        return False
