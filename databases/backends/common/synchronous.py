"""Synchronous: what SQLAlchemy's synchronous side runs on a connection that is held."""

from __future__ import annotations

from collections.abc import Sequence

from databases.backends.common.driver import Called, RawConnection, Value
from databases.backends.common.lease import Lease

__all__ = ["SynchronousLease"]


class SynchronousLease(Lease):
    """A lease with the statements of SQLAlchemy, whose own transaction commits them."""

    async def call(self, sql: str, args: Sequence[Value], *, is_nested: bool) -> Called:
        """Run *sql* for SQLAlchemy; *is_nested* tells whose the transaction is that is open."""
        raw = await self._taken_over()
        try:
            called = await self.driver.call(raw, sql, args)
            if self._depth and not self.driver.in_transaction(raw):
                # DDL has committed it, on MySQL.
                if is_nested:
                    self._lose(f"it was committed by {sql.split(maxsplit=1)[0]}")
                else:
                    await self.driver.begin(raw, {})
        except BaseException as error:
            self._note(error)
            raise
        return called

    async def call_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run *sql* once per row for SQLAlchemy."""
        raw = await self._taken_over()
        try:
            await self.driver.execute_many(raw, sql, rows)
        except BaseException as error:
            self._note(error)
            raise

    async def _taken_over(self) -> RawConnection:
        slot = self._slot
        raw = self._connection
        if slot is None or self._is_troubled:
            raw = await self._settle()
            slot = self._slot
        assert slot is not None
        slot.changed += 1
        return raw
