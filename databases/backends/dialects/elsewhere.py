"""Elsewhere: a database of SQLite that is connected on one event loop and used on another."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from databases.backends.common.driver import RawConnection
from databases.backends.common.pool_faces import LegacyPool
from databases.limits import forks, running_loop

__all__ = ["PoolForAnyLoop"]


class PoolForAnyLoop(LegacyPool):
    """A pool that serves other event loops, too: there each loan has a connection of its own."""

    _has_peers = False  # a file ends nothing

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._elsewhere: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, PoolForAnyLoop] = (
            weakref.WeakKeyDictionary()
        )

    def fresh(self) -> PoolForAnyLoop:
        """Return a pool like this one that nobody has used."""
        raise NotImplementedError

    @property
    def lends_slots(self) -> bool:
        """Whether slots can be had of it, where it is asked."""
        loop = self._loop
        return (loop is None or loop is running_loop()) and super().lends_slots

    async def lend_raw(self, timeout: float | None = None) -> RawConnection:
        """Lend a connection; `take_back_raw` wants it again."""
        loop = running_loop()
        is_here = self._loop is None or self._loop is loop
        if is_here or loop is None or self._is_closing or self._forks != forks.count:
            return await super().lend_raw(timeout)
        pool = self._elsewhere.get(loop)
        if pool is None:
            pool = self._elsewhere[loop] = self.fresh()
        return await pool.lend_raw(timeout)

    async def take_back_raw(self, raw: RawConnection) -> None:
        """Take back what `lend_raw` has lent; a second time does nothing."""
        for pool in list(self._elsewhere.values()):
            if id(raw) in pool._by_raw:
                await pool.take_back_raw(raw)
                return
        await super().take_back_raw(raw)
