"""The pool as programs know it from the drivers: ``database._backend._pool``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.backends.common.pool import Pool
from databases.backends.common.slots import Slot
from databases.errors import InterfaceError

__all__ = ["AioPool", "AsyncpgPool", "LegacyPool", "handed_over"]


class LegacyPool(Pool):
    """Lends raw connections themselves instead of slots."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._by_raw: dict[int, Slot] = {}
        self._is_original = True

    @property
    def is_patched(self) -> bool:
        """Whether a program has replaced how this very pool lends, as a tracer may do."""
        return "acquire" in self.__dict__ or "release" in self.__dict__

    @property
    def lends_slots(self) -> bool:
        """Whether queries need not go through `acquire` and `release`."""
        return self._is_original and not self.is_patched

    @property
    def _closed(self) -> bool:
        # The name that the pools of all drivers have for it: programs ask for it.
        return self._is_closing

    async def lend_raw(self, timeout: float | None = None) -> RawConnection:
        """Lend a connection; `take_back_raw` wants it again."""
        slot = self.lend_now() or await self.lend(timeout)
        slot.changed += 1  # who knows what is done with it
        self._by_raw[id(slot.raw)] = slot
        return slot.raw

    async def take_back_raw(self, raw: RawConnection) -> None:
        """Take back what `lend_raw` has lent; a second time does nothing.

        Returns when the connection is idle or closed. A caller that is
        cancelled meanwhile has given it back all the same.
        """
        slot = self._by_raw.pop(id(raw), None)
        if slot is not None:
            work = self.take_back(slot)
            if work is not None:
                await asyncio.wait({work})
        elif not any(each.raw is raw for each in self._slots) and self._driver.is_usable(raw):
            raise InterfaceError("cannot release the connection: this pool has not lent it")


def handed_over(pool: Any, raw: RawConnection) -> Slot | None:
    """Return the slot of *raw*, which *pool* has lent, to be given back in its place.

    None where *raw* itself has to go back: to a pool of the program's own, or
    one that it has changed.
    """
    if not isinstance(pool, LegacyPool) or not pool.lends_slots:
        return None
    return pool._by_raw.pop(id(raw), None)


class _Loan:
    """``await pool.acquire()`` and ``async with pool.acquire()`` alike."""

    __slots__ = ("_pool", "_raw", "_timeout")

    def __init__(self, pool: LegacyPool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._raw: Any = None

    def __await__(self) -> Generator[Any, None, RawConnection]:
        return self._pool.lend_raw(self._timeout).__await__()

    async def __aenter__(self) -> RawConnection:
        self._raw = await self
        return self._raw

    async def __aexit__(self, *exception: object) -> None:
        raw, self._raw = self._raw, None
        await self._pool.take_back_raw(raw)


class AsyncpgPool(LegacyPool):
    """The interface of ``asyncpg.Pool``."""

    def acquire(self, *, timeout: float | None = None) -> _Loan:
        """Lend a connection; *timeout* in seconds."""
        return _Loan(self, timeout)

    async def release(self, connection: RawConnection, *, timeout: float | None = None) -> None:
        """Take *connection* back."""
        await self.take_back_raw(connection)

    async def close(self) -> None:
        """Close every connection, waiting for those that are in use."""
        await self.shut_down()

    def terminate(self) -> None:
        """Close every connection at once."""
        self.shut_down_now()

    async def expire_connections(self) -> None:
        """Replace every connection before its next loan."""
        self.expire_idle()

    def is_closing(self) -> bool:
        """Tell whether the pool is closed or about to be."""
        return self._is_closing

    def get_size(self) -> int:
        """Return how many connections are open."""
        return len(self._slots)

    def get_idle_size(self) -> int:
        """Return how many of them are idle."""
        return len(self._idle)

    def get_min_size(self) -> int:
        """Return how many the pool keeps."""
        return self._options.min_size

    def get_max_size(self) -> int | None:
        """Return how many there may be."""
        return self._options.max_size

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        """Run *query* as ``asyncpg.Connection.execute`` does."""
        async with self.acquire() as connection:
            return await connection.execute(query, *args, timeout=timeout)

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> Any:
        """Run *command* as ``asyncpg.Connection.executemany`` does."""
        async with self.acquire() as connection:
            return await connection.executemany(command, args, timeout=timeout)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """Run *query* as ``asyncpg.Connection.fetch`` does."""
        async with self.acquire() as connection:
            return await connection.fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Run *query* as ``asyncpg.Connection.fetchrow`` does."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Run *query* as ``asyncpg.Connection.fetchval`` does."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args, **options)


class AioPool(LegacyPool):
    """The interface that the pools of aiomysql, asyncmy and aiopg share."""

    def acquire(self) -> _Loan:
        """Lend a connection."""
        return _Loan(self, None)

    async def release(self, connection: RawConnection) -> None:
        """Take *connection* back."""
        await self.take_back_raw(connection)

    async def clear(self) -> None:
        """Close the idle connections."""
        self.expire_idle()

    def close(self) -> None:
        """Lend no more; `wait_closed` ends it."""
        self._is_closing = True

    async def wait_closed(self) -> None:
        """Wait until every connection is back and closed."""
        await self.shut_down()

    def terminate(self) -> None:
        """Close every connection at once."""
        self.shut_down_now()

    @asynccontextmanager
    async def get(self) -> AsyncIterator[RawConnection]:
        """Lend a connection for the length of a block."""
        async with self.acquire() as connection:
            yield connection

    @property
    def size(self) -> int:
        """How many connections are open."""
        return len(self._slots) + self._opening

    @property
    def freesize(self) -> int:
        """How many of them are idle."""
        return len(self._idle)

    @property
    def minsize(self) -> int:
        """How many the pool keeps."""
        return self._options.min_size

    @property
    def maxsize(self) -> int | None:
        """How many there may be."""
        return self._options.max_size

    @property
    def closed(self) -> bool:
        """Whether the pool lends no more."""
        return self._is_closing
