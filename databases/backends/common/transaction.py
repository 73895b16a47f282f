"""Transaction: one BEGIN or SAVEPOINT on the connection of a backend.

Programs replace `start` on the classes below it. What they begin by
themselves is counted all the same, and distrusted when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from databases.backends.common.lease import Lease
from databases.errors import TransactionStateError
from databases.interfaces import TransactionBackend

__all__ = ["CommonTransaction"]


class CommonTransaction(TransactionBackend):
    """One transaction or savepoint on a `CommonConnection`."""

    own_start: ClassVar[Callable[..., Any]]
    """`start` as this library wrote it."""

    def __init__(self, connection: Lease) -> None:
        self._connection = connection
        self._savepoint: str | None = None
        self._is_begun = self._was_asked = self._is_ended = False

    async def start(  # the signature is interfaces.TransactionBackend's
        self,
        is_root: bool,  # noqa: FBT001
        extra_options: dict[Any, Any],
    ) -> None:
        """Begin; *extra_options* as `Database.transaction` takes them."""
        self._was_asked = True
        options = self._known(extra_options)
        self._savepoint = await self._connection.begin(is_root=is_root, options=options)
        self._is_begun = True

    def started(self) -> None:
        """Note that `start` has returned, whoever wrote it."""
        if not self._is_begun:
            self._is_begun = True
            self._connection.adopt()

    def _ends(self) -> bool:
        """Note that it ends, and tell whether nobody has ended it before."""
        if self._is_ended:
            return False
        self.started()
        self._is_ended = True
        return True

    def failed(self) -> None:
        """Undo what was begun before `start` raised; nothing is waited for."""
        if self._is_begun:
            self.abandon()
        elif not self._was_asked and type(self).start is not type(self).own_start:
            self._connection.distrust()

    def strengths(self, options: Mapping[str, Any]) -> Mapping[str, int]:
        """Return how much *options* ask for; see `Driver.strengths`."""
        return self._connection.driver.strengths(self._known(options))

    def _known(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *options* without those of a program that replaced `start`."""
        if not options or type(self).start is type(self).own_start:
            return options
        known = self._connection.driver.strengths({})
        return {name: value for name, value in options.items() if name in known}

    async def commit(self) -> None:
        """Keep what was done. Raises when the server rolled back instead."""
        if not self._ends():
            raise TransactionStateError("cannot commit: the transaction was given up; run it again")
        await self._connection.commit(self._savepoint)

    async def rollback(self) -> None:
        """Undo what was done."""
        if self._ends():
            await self._connection.rollback(self._savepoint)

    def abandon(self) -> None:
        """Undo what was done, without waiting for it; nothing where its end is on its way."""
        if self._ends():
            self._connection.abandon(self._savepoint)


CommonTransaction.own_start = CommonTransaction.start
