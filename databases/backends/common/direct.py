"""Direct: queries on a raw connection of their own, with nothing in between.

Most queries come outside any ``connection()`` block. They need no
`Connection` and no entry in a map: bind, borrow, run, give back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databases.backends.common.backend import CommonBackend, CommonConnection
    from databases.backends.common.slots import Slot

__all__ = ["Direct", "Originals"]

_VERBS = ("execute", "fetch_all", "fetch_one", "fetch_val")


class Originals:
    """The methods of a leaf as this library wrote them; programs replace them on the class."""

    __slots__ = ("acquire", "compile", "connection", "fetch_one", "release", "verbs")

    def __init__(self, backend: type[CommonBackend], cls: type[CommonConnection]) -> None:
        self.connection = backend.connection
        self.acquire = cls.acquire
        self.release = cls.release
        self.compile = cls._compile
        self.fetch_one = cls.fetch_one  # which fetch_val asks where it is replaced
        self.verbs = {name: getattr(cls, name) for name in _VERBS}


class Direct:
    """The single queries of one backend, while nothing of it is replaced.

    The verbs are written out, each whole: what they have in common would be one
    more frame on the way of every query, the shortest there is.
    """

    def __init__(self, backend: CommonBackend) -> None:
        self._backend = backend
        self._driver = backend.driver
        self.dialect = backend._dialect
        # Never acquired: it knows what `execute` owes its caller.
        self._connection = backend.connection()
        self._statements = self._connection._statements
        self._statements.hides_values = backend._hides_values

    async def fetch_all(self, query: Any, values: Any) -> list[Any]:
        """Return every row of *query*, in server order."""
        bound = self._statements.bind(query, values)
        pool = self._backend._pool
        slot = pool.lend_now() or await pool.lend()
        slot.changed = not bound.plan.is_session_neutral
        try:
            names, rows = await self._driver.fetch(slot.raw, bound[0], bound[1])
        except BaseException as error:
            if self._note(pool, slot, error):
                return await self.fetch_all(query, values)
            raise
        finally:
            pool.take_back(slot)
        return bound.plan.layout_for(names).all(rows) if rows else []

    async def fetch_one(self, query: Any, values: Any) -> Any:
        """Return the first row of *query*, or None."""
        bound = self._statements.bind(query, values)
        pool = self._backend._pool
        slot = pool.lend_now() or await pool.lend()
        slot.changed = not bound.plan.is_session_neutral
        try:
            names, rows = await self._driver.fetch_first(slot.raw, bound[0], bound[1])
        except BaseException as error:
            if self._note(pool, slot, error):
                return await self.fetch_one(query, values)
            raise
        finally:
            pool.take_back(slot)
        return bound.plan.layout_for(names).row(rows[0]) if rows else None

    async def fetch_val(self, query: Any, values: Any, column: Any) -> Any:
        """Return one value of the first row of *query*, or None."""
        bound = self._statements.bind(query, values)
        pool = self._backend._pool
        slot = pool.lend_now() or await pool.lend()
        slot.changed = not bound.plan.is_session_neutral
        try:
            names, rows = await self._driver.fetch_first(slot.raw, bound[0], bound[1])
        except BaseException as error:
            if self._note(pool, slot, error):
                return await self.fetch_val(query, values, column)
            raise
        finally:
            pool.take_back(slot)
        return bound.plan.layout_for(names).value(rows[0], column) if rows else None

    async def execute(self, query: Any, values: Any) -> Any:
        """Run *query*; return its key, row count or value."""
        bound = self._statements.bind(query, values)
        pool = self._backend._pool
        slot = pool.lend_now() or await pool.lend()
        slot.changed = not bound.plan.is_session_neutral
        try:
            outcome = await self._driver.execute(slot.raw, bound[0], bound[1], bound.plan)
        except BaseException as error:
            if self._note(pool, slot, error):
                return await self.execute(query, values)
            raise
        finally:
            pool.take_back(slot)
        return self._connection._result(bound, outcome)

    def _note(self, pool: Any, slot: Slot, error: BaseException) -> bool:
        """Record what *error* means for the connection, as `Lease` does.

        True if it had ended before and nothing was sent: another one may serve.
        """
        driver = self._driver
        if driver.is_unsent(error):
            pool.discard(slot, cancel=False)
            return True
        if driver.is_clean(error) and driver.is_usable(slot.raw):
            return False
        if driver.can_recover(slot.raw):
            slot.in_doubt = True
            driver.interrupt(slot.raw)
        else:
            pool.discard(slot)
        return False
