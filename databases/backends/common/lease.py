"""Lease: what a connection has of the pool, and how it gets out of trouble.

A statement that fails or is cancelled may leave the raw connection in doubt.
It is made clean before the next statement, or parted with; it never goes back
to the pool in doubt, and a lost transaction says so until it is left.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

from databases.backends.common.cleaning import called, hand_in, within
from databases.backends.common.driver import Driver, RawConnection
from databases.backends.common.plans import BoundStatement
from databases.backends.common.pool import Pool
from databases.backends.common.pool_faces import handed_over
from databases.backends.common.slots import Slot
from databases.backends.common.streams import OpenStream, abandoned_closed
from databases.errors import ConnectionStateError, NotConnectedError, TransactionStateError
from databases.interfaces import ConnectionBackend

__all__ = ["Lease"]

CLEANUP_TIMEOUT = 5.0
"""Seconds that a rollback may take where the pool does not say."""


class Lease(ConnectionBackend):
    """The raw connection that a connection has acquired, and what is owed to it."""

    driver: ClassVar[Driver]

    def __init__(self, database: Any) -> None:
        self._database = database
        # The raw connection or None: read by programs and subclasses, set by their acquire().
        self._connection: Any = None
        self._taken: Any = None
        self._lender: Any = None
        self._slot: Slot | None = None
        self._has_pool_slot = False
        """Whether the slot is the lender's own, not made here for what it lent."""
        self._depth = 0
        self._lost: str | None = None
        self._owed: list[str] = []
        self._stream: OpenStream | None = None
        self._is_troubled = False
        self._has_yielded = self._is_yielding = False

    async def acquire(self) -> None:
        """Take a raw connection from the pool, waiting for one if need be."""
        if self._connection is not None:
            raise ConnectionStateError("Connection is already acquired; release it first")
        await self._take()

    async def _take(self) -> None:
        pool = self._get_pool()
        # A release() of a program's own gives the raw connection back.
        has_slot = getattr(pool, "lends_slots", False) and type(self).release is Lease.release
        if has_slot:
            slot = pool.lend_now()
            if slot is None:
                slot = await pool.lend()
        else:
            slot = Slot(await pool.acquire())
        self._has_pool_slot = has_slot
        self._lender = pool
        self._slot = slot
        slot.lease = weakref.ref(self)
        self._connection = self._taken = slot.raw

    def _adopt(self) -> bool:
        """Answer for the connection that a program has taken of the pool itself, if it has."""
        raw = self._connection
        if self._slot is not None or raw is None or raw is self._taken:
            return False
        self._lender, self._taken = self._get_pool(), raw
        slot = handed_over(self._lender, raw) if type(self).release is Lease.release else None
        self._slot, self._has_pool_slot = slot or Slot(raw), slot is not None
        self._slot.lease = weakref.ref(self)
        return True

    async def release(self) -> None:
        """Give the raw connection back. Never waits on a pool of ours."""
        if self._is_yielding or self._has_yielded:
            # Or else `yield_place` would go on with what is another task's.
            self._has_yielded = self._is_yielding = False
            return
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        self._adopt()
        slot, lender = self._detach()
        if slot is None:
            return
        if self._has_pool_slot:
            lender.take_back(slot)
        else:
            await asyncio.shield(asyncio.ensure_future(called(lender.release, slot.raw)))

    def _get_pool(self) -> Any:
        pool = self._database._pool
        if pool is None:
            raise NotConnectedError("DatabaseBackend is not running; connect() first")
        return pool

    def _detach(self) -> tuple[Slot | None, Any]:
        slot, lender = self._slot, self._lender
        if slot is not None and self._stream is not None and not self._stream.abandon():
            slot.in_doubt = True
        self._connection = self._taken = self._slot = self._lender = None
        self._stream = self._lost = None
        self._owed.clear()
        self._depth = 0
        self._is_troubled = False
        return slot, lender

    def __del__(self) -> None:
        # Begun and forgotten: nobody can end it any more, so the place goes
        # back. The collector may run anywhere; the pool wants its own loop.
        slot, lender = self._slot, self._lender
        loop = getattr(lender, "_loop", None)
        if slot is None or self._connection is None or not isinstance(lender, Pool):
            return
        slot.in_doubt = True
        if loop is None or loop.is_closed():
            self.driver.terminate(slot.raw)
        elif self._has_pool_slot:
            loop.call_soon_threadsafe(lender.take_back, slot)
        else:
            loop.call_soon_threadsafe(hand_in, self.driver, lender, slot.raw)

    @property
    def raw_connection(self) -> Any:
        """The driver's own connection."""
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        if self._slot is not None:
            self._slot.changed += 1  # who knows what is done with it
        return self._connection

    @property
    def _patience(self) -> float:
        return getattr(self._lender, "cleanup_timeout", CLEANUP_TIMEOUT)

    async def yield_place(self) -> None:
        """Give the raw connection back before its time, what streams over it read to the end."""
        await abandoned_closed()  # what nobody reads any more needs no reading
        stream = self._stream
        if stream is None or self._depth or not self._has_pool_slot:
            return
        self._is_yielding = True
        try:
            await self._settle()
        finally:
            was_released, self._is_yielding = not self._is_yielding, False
            if was_released or stream.is_in_memory:
                slot, lender = self._detach()
                self._has_yielded = not was_released
                if slot is not None:
                    lender.take_back(slot)

    async def spool(self) -> None:
        """Read what is left of an open stream into memory, to free the connection.

        An error of the stream is its loop's to know, and no other statement's.
        """
        if self._stream is None:
            return
        try:
            await self._stream.spool()
        except Exception as error:
            if self._stream is not None:
                raise
            self._note(error)
        except BaseException as error:
            self._note(error)
            raise

    # Trouble: what a failed or cancelled statement leaves behind

    def _note(self, error: BaseException, bound: BoundStatement | None = None) -> bool:
        """Record what *error* means for the connection; called where it was raised.

        True if the connection had ended before *bound* was sent, and nothing
        of the session will be missed: it may run on another connection.
        """
        slot = self._slot
        if slot is None:
            return False
        driver = self.driver
        if driver.is_unsent(error):
            self._lose("its connection had ended")
            own = bound is not None and not bound.plan.is_session_neutral
            return not self._depth and slot.changed == own
        if not driver.is_clean(error) or not driver.is_usable(slot.raw):
            if driver.can_recover(slot.raw):
                slot.in_doubt = self._is_troubled = True
                driver.interrupt(slot.raw)
            else:
                self._lose(f"it was interrupted by {type(error).__name__}")
        elif self._depth:
            lost = driver.lost_transaction(slot.raw, error)
            if lost:
                self._lose(f"the server ended the transaction ({type(error).__name__})")
            elif lost is None:
                slot.in_doubt = self._is_troubled = True  # asked before the next statement
        return False

    def _lose(self, reason: str) -> None:
        """Part with the raw connection; the server rolls back what was open on it."""
        slot, self._slot = self._slot, None
        self._is_troubled = True
        self._owed.clear()
        if self._depth:
            self._lost = reason
        if slot is not None and self._has_pool_slot:
            self._lender.discard(slot)
        elif slot is not None:
            hand_in(self.driver, self._lender, slot.raw)

    def part_with(self, slot: Slot, reason: str) -> bool:
        """Lose *slot*, which the pool wants back, because of *reason*; false if it is not here."""
        if self._slot is not slot:
            return False
        self._lose(reason)
        return True

    async def _settle(self) -> RawConnection:
        """Make the connection ready again after trouble, or say why it cannot be."""
        if self._connection is None:
            raise ConnectionStateError("Connection is not acquired; acquire it first")
        if self._lost is not None:
            # As long as a cancelled task has not waited again, the event loop
            # holds its exception, and with it a transaction that is forgotten.
            await asyncio.sleep(0)
        if self._lost is not None:
            raise TransactionStateError(
                f"cannot run a query: the transaction is lost, {self._lost}; roll it back"
            )
        if self._slot is None and not self._adopt():
            await self._take()
        slot = self._slot
        assert slot is not None
        if self._owed and not self._depth and not self.driver.is_usable(slot.raw):
            self._lose("its connection has ended")  # and with it what was to be undone
            return await self._settle()
        try:
            if slot.in_doubt:
                await self._recover(slot)
                slot.changed += 1
                if self._depth and not self.driver.in_transaction(slot.raw):
                    self._lose("the server ended it when a statement failed")
                    return await self._settle()
            if self._stream is not None:
                await self.spool()
                if self._slot is not slot or slot.in_doubt:
                    return await self._settle()  # the stream broke its connection
            await self._pay(slot.raw)
        except BaseException as error:
            if self._slot is not None:
                self._lose(f"its connection failed ({type(error).__name__})")
            raise
        slot.in_doubt = self._is_troubled = False
        return self._connection

    async def clean_up(self) -> None:
        """Settle what a statement that was given up has left, before the next one comes."""
        if self._owed and self._lost is None and self._connection is not None:
            in_time = False
            try:
                in_time = await within(self._patience, self._settle())
            finally:
                if not in_time and self._slot is not None:
                    self._lose("what was given up could not be undone in time")

    def returns_after(self, work: asyncio.Task[Any]) -> None:
        """Have the pool see to it that *work*, which cleans up, keeps no other task waiting."""
        if self._slot is not None and self._has_pool_slot:
            self._lender.expect(work)

    async def _pay(self, raw: RawConnection) -> None:
        """Undo what was left to be undone before the next statement."""
        while self._owed:
            if self._owed[0] != "ROLLBACK":
                await self.driver.run(raw, self._owed[0])
            elif self.driver.in_transaction(raw):
                await self.driver.rollback(raw)
            self._owed.pop(0)

    # Transactions: the verbs of CommonTransaction

    async def begin(self, *, is_root: bool, options: Mapping[str, Any]) -> str | None:
        """Begin a transaction or a savepoint; return the savepoint's name."""
        is_ready = self._slot is not None and not self._is_troubled
        raw = self._connection if is_ready else await self._settle()
        if is_root:
            self._depth += 1
            try:
                await self.driver.begin(raw, options)
            except BaseException as error:
                self._depth -= 1
                if self._note(error):
                    return await self.begin(is_root=True, options=options)
                if self._slot is not None and self._is_troubled:
                    self._owed.insert(0, "ROLLBACK")
                raise
            return None
        name, slot = f"databases_savepoint_{self._depth + 1}", self._slot
        await self._run(f"SAVEPOINT {name}")
        if self._slot is None or self._slot is not slot:
            raise TransactionStateError("cannot begin: the transaction around it was given up")
        self._depth += 1
        return name

    def adopt(self) -> None:
        """Count a transaction that a program began in the place of `begin`."""
        self._depth += 1

    def distrust(self) -> None:
        """Undo what a program may have begun before it failed; nothing is waited for."""
        if self._depth:
            self._lose("what was being begun inside was given up")
        elif self._slot is not None:
            self._slot.in_doubt = self._is_troubled = True
            self.driver.interrupt(self._slot.raw)
            self._owed.insert(0, "ROLLBACK")

    async def commit(self, savepoint: str | None) -> None:
        """End with what was done kept. Raises when it was not, and then it was not."""
        self._depth -= 1
        if self._lost is not None:
            reason = self._lost
            self._leave_lost()
            raise TransactionStateError(
                f"cannot commit: the transaction is lost, {reason}; run it again"
            )
        if self._is_troubled:
            self._depth += 1
            try:
                await self._settle()
            finally:
                self._depth -= 1
                self._leave_lost()
        if savepoint is not None:
            try:
                await self._run(f"RELEASE SAVEPOINT {savepoint}")
            except BaseException:
                if self._slot is not None and self._depth:
                    # Where it is gone all the same, this fails, and so does what is around it.
                    self._owe(f"ROLLBACK TO SAVEPOINT {savepoint}")
                raise
            return
        try:
            await self.driver.commit(self._connection)
        except BaseException as error:
            # Committed or not, nobody knows: such a connection never goes back.
            self._lose(f"COMMIT failed ({type(error).__name__})")
            raise

    async def rollback(self, savepoint: str | None) -> None:
        """End with what was done undone."""
        self._depth -= 1
        if self._lost is not None:
            self._leave_lost()
            return
        if savepoint is not None:
            self._owe(f"ROLLBACK TO SAVEPOINT {savepoint}")
            await self._settle()
            return
        slot = self._slot
        self._owed.clear()
        if slot is None:
            return
        if self._stream is not None and not self._stream.abandon():
            self._lose("a stream was left open")
            return
        try:
            await self._roll_back(slot)
        except BaseException as error:
            self._lose(f"ROLLBACK failed ({type(error).__name__})")
            raise

    def abandon(self, savepoint: str | None) -> None:
        """Roll back without waiting: before the next statement, or in the pool."""
        self._depth -= 1
        if self._lost is not None:
            self._leave_lost()
        elif savepoint is not None:
            self._owe(f"ROLLBACK TO SAVEPOINT {savepoint}")
        else:
            self._owed.clear()
            self._owe("ROLLBACK", only=self._slot is not None)

    async def _recover(self, slot: Slot) -> None:
        """Wait for a statement that was given up, but not for ever."""
        if not await within(self._patience, self.driver.recover(slot.raw)):
            raise TimeoutError("cannot go on: the statement given up before has not ended in time")

    async def _roll_back(self, slot: Slot) -> None:
        if slot.in_doubt:
            await self._recover(slot)
        failure: list[BaseException] = []

        async def roll_back() -> None:
            try:
                await self.driver.rollback(slot.raw)
            except Exception as error:
                failure.append(error)
                raise

        if not await within(self._patience, roll_back()):
            raise failure[0] if failure else TimeoutError("cannot roll back: no answer in time")
        if self._stream is None:
            slot.in_doubt = self._is_troubled = False

    def _owe(self, sql: str, *, only: bool = True) -> None:
        if only:
            self._owed.append(sql)
            self._is_troubled = True

    def _leave_lost(self) -> None:
        # Outside the lost transaction the connection may be replaced.
        if not self._depth:
            self._lost = None

    async def _run(self, sql: str) -> None:
        raw = await self._settle() if self._is_troubled else self._connection
        try:
            await self.driver.run(raw, sql)
        except BaseException as error:
            self._note(error)
            raise
