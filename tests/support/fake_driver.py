"""A driver without a server: each of its steps waits until the test lets it end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from databases.backends.common.backend import CommonBackend, CommonConnection
from databases.backends.common.driver import (
    Arguments,
    Called,
    Fetched,
    Outcome,
    RawConnection,
    Stream,
)
from databases.backends.common.options import OptionTable
from databases.backends.common.plans import Plan
from databases.backends.common.rawsql import SQLITE
from databases.backends.common.slots import no_news
from databases.backends.common.transaction import CommonTransaction
from databases.backends.dialects.sqlite import make_dialect
from databases.interfaces import TransactionBackend
from databases.urls import DatabaseURL


class ServerError(Exception):
    """What the server refuses; the connection stays in step."""


class Deadlock(ServerError):
    """With this the server ends the whole transaction."""


class ConnectionLost(OSError):
    """The connection is gone."""


@dataclass(eq=False)
class FakeRaw:
    """A connection, and the transaction that the server has open for it."""

    server: FakeServer
    number: int
    is_open: bool = True
    is_busy: bool = False
    """A statement was sent and not answered: whoever comes now is out of step."""
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    """Names, and how many rows were written before each; the first is the root's."""
    written: list[int] = field(default_factory=list)
    session: int = 0
    """What a user has left in the session."""

    @property
    def in_transaction(self) -> bool:
        return bool(self.savepoints)


@dataclass
class Step:
    """Something that a driver was asked to do and has not done yet."""

    raw: FakeRaw | None
    verb: str
    answer: asyncio.Future[None]
    effect: Callable[[], None] | None = None

    def happen(self) -> None:
        """Let the server do it, which nobody has been told yet."""
        effect, self.effect = self.effect, None
        if effect is not None and (self.raw is None or self.raw.is_open):
            effect()

    def end(self, error: BaseException | None = None) -> None:
        """Let it end, well or by *error*."""
        if self.answer.done():
            return
        if error is None:
            self.happen()
            self.answer.set_result(None)
        else:
            self.answer.set_exception(error)


@dataclass
class FakeServer:
    """Its committed rows, its connections, and the steps that wait to be ended."""

    committed: list[int] = field(default_factory=list)
    raws: list[FakeRaw] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)
    """Verbs that wait for the test; the others end by themselves."""
    recovers: bool = True
    """Whether a connection survives a statement that was given up."""

    async def step(
        self, raw: FakeRaw | None, verb: str, effect: Callable[[], None] | None = None
    ) -> None:
        """Do *verb* with its *effect* on the server, now or when the test says so."""
        if raw is not None:
            if not raw.is_open:
                raise ConnectionLost(f"{verb} on a closed connection")
            assert not raw.is_busy, f"{verb} on a connection that is out of step"
            raw.is_busy = True
        if verb in self.holds:
            waiting = Step(raw, verb, asyncio.get_running_loop().create_future(), effect)
            self.steps.append(waiting)
            try:
                await waiting.answer
            except Exception:
                if raw is not None:
                    raw.is_busy = False
                raise
            finally:
                # A cancelled waiter leaves the connection busy.
                self.steps.remove(waiting)
        else:
            await asyncio.sleep(0)
            if effect is not None:
                effect()
        if raw is not None:
            raw.is_busy = False
            if not raw.is_open:
                raise ConnectionLost(f"closed during {verb}")

    @property
    def open_raws(self) -> list[FakeRaw]:
        return [raw for raw in self.raws if raw.is_open]

    def execute(self, raw: FakeRaw, sql: str) -> None:
        """Do what *sql* says about transactions."""
        words = sql.split()
        if words[0] == "BEGIN":
            assert not raw.savepoints, "BEGIN inside a transaction"
            raw.savepoints.append(("", 0))
        elif words[0] == "SAVEPOINT":
            assert raw.savepoints, "SAVEPOINT outside a transaction"
            raw.savepoints.append((words[1], len(raw.written)))
        elif words[0] == "RELEASE":
            del raw.savepoints[self._find(raw, words[-1]) :]
        elif words[:2] == ["ROLLBACK", "TO"]:
            index = self._find(raw, words[-1])
            del raw.written[raw.savepoints[index][1] :]
            del raw.savepoints[index + 1 :]
        elif words[0] == "ROLLBACK":
            self.end(raw)
        elif words[0] == "COMMIT":
            self.committed += raw.written
            self.end(raw)
        else:
            raise AssertionError(f"who sends {sql!r}?")

    def write(self, raw: FakeRaw, row: int) -> None:
        (raw.written if raw.savepoints else self.committed).append(row)

    def end(self, raw: FakeRaw) -> None:
        """End the transaction of *raw* without keeping anything."""
        raw.savepoints.clear()
        raw.written.clear()

    @staticmethod
    def _find(raw: FakeRaw, name: str) -> int:
        names = [name for name, _ in raw.savepoints]
        if name not in names:
            raise ServerError(f"no such savepoint: {name}")
        return len(names) - 1 - names[::-1].index(name)


class FakeDriver:
    """The verbs of a driver, on the server that is set before."""

    streams_in_transaction = False
    interleaves = True
    forgets_session = True
    bulk_is_atomic = False
    errors = None
    server: FakeServer

    def accepts(self, name: str) -> bool:
        return True

    async def connect(self, url: DatabaseURL, arguments: Mapping[str, Any]) -> FakeRaw:
        await self.server.step(None, "connect")
        raw = FakeRaw(self.server, len(self.server.raws))
        self.server.raws.append(raw)
        return raw

    async def close(self, raw: FakeRaw) -> None:
        await self.server.step(raw, "close")
        self.terminate(raw)

    def terminate(self, raw: FakeRaw) -> None:
        raw.is_open = False
        self.server.end(raw)

    def news(self, raw: FakeRaw) -> Callable[[int], Any]:
        return no_news

    def is_usable(self, raw: FakeRaw) -> bool:
        return raw.is_open

    def in_transaction(self, raw: FakeRaw) -> bool:
        return raw.in_transaction

    def is_clean(self, error: BaseException) -> bool:
        return isinstance(error, ServerError)

    def is_unsent(self, error: BaseException) -> bool:
        return False

    def lost_transaction(self, raw: FakeRaw, error: BaseException) -> bool:
        return isinstance(error, Deadlock)

    def can_recover(self, raw: FakeRaw) -> bool:
        return self.server.recovers and raw.is_open

    def interrupt(self, raw: FakeRaw) -> None:
        pass

    async def recover(self, raw: FakeRaw) -> None:
        raw.is_busy = False
        await self.server.step(raw, "recover")

    async def cancel(self, raw: FakeRaw) -> None:
        raw.is_busy = False
        await self.server.step(raw, "cancel")
        self.terminate(raw)

    async def ping(self, raw: FakeRaw) -> None:
        await self.server.step(raw, "ping")

    async def reset(self, raw: FakeRaw) -> None:
        await self.server.step(raw, "reset")
        raw.session = 0

    async def fetch(self, raw: FakeRaw, sql: str, args: Arguments) -> Fetched:
        await self.server.step(raw, "fetch")
        return Fetched(("number",), [(raw.number,)])

    async def fetch_first(self, raw: FakeRaw, sql: str, args: Arguments) -> Fetched:
        return await self.fetch(raw, sql, args)

    async def execute(self, raw: FakeRaw, sql: str, args: Arguments, plan: Plan) -> Outcome:
        assert args is not None
        row = int(args[0])
        await self.server.step(raw, "write", lambda: self.server.write(raw, row))
        return Outcome(row_count=1)

    async def execute_many(self, raw: FakeRaw, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        await self.server.step(raw, "write")
        for row in rows:
            self.server.write(raw, int(row[0]))

    async def call(self, raw: FakeRaw, sql: str, args: Sequence[Any]) -> Called:
        raise NotImplementedError

    async def stream(self, raw: RawConnection, sql: str, args: Arguments) -> Stream:
        raise NotImplementedError

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        return dict.fromkeys(options, 0)

    async def begin(self, raw: FakeRaw, options: Mapping[str, Any]) -> None:
        await self._said(raw, "begin", "BEGIN")

    async def commit(self, raw: FakeRaw) -> None:
        await self._said(raw, "commit", "COMMIT")

    async def rollback(self, raw: FakeRaw) -> None:
        await self._said(raw, "rollback", "ROLLBACK")

    async def run(self, raw: FakeRaw, sql: str) -> None:
        await self._said(raw, "run", sql)

    async def _said(self, raw: FakeRaw, verb: str, sql: str) -> None:
        await self.server.step(raw, verb, lambda: self.server.execute(raw, sql))


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Close *loop* and end what is left on it, so that a failure leaves no noise behind."""

    async def end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    loop.run_until_complete(end())
    loop.close()


class FakeBackend(CommonBackend):
    """The backend over the fake driver; make a subclass per server."""

    driver = FakeDriver()
    option_table = OptionTable("fake", (), ("min_size", "max_size"))

    def _get_dialect(self) -> Any:
        return make_dialect()

    def connection(self) -> CommonConnection:
        return FakeConnection(self, self._dialect)


class FakeConnection(CommonConnection):
    driver = FakeBackend.driver
    style = "qmark"
    syntax = SQLITE

    def transaction(self) -> TransactionBackend:
        return CommonTransaction(self)


FakeBackend.make_of(FakeConnection)
