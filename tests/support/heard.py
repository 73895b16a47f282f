"""Heard: the events that a listener was told, kept for the test to look at."""

from __future__ import annotations

from typing import TypeVar

from databases.events import Event, QueryEvent, TransactionEvent

__all__ = ["Heard"]

E = TypeVar("E", bound=Event)


class Heard(list[Event]):
    """The events that a listener was told."""

    def of(self, kind: type[E]) -> list[E]:
        """Return those of *kind*."""
        return [event for event in self if isinstance(event, kind)]

    @property
    def query(self) -> QueryEvent:
        """The only query."""
        (event,) = self.of(QueryEvent)
        return event

    @property
    def transactions(self) -> list[tuple[str, int]]:
        """What transactions did, and at which depth."""
        return [(event.operation, event.depth) for event in self.of(TransactionEvent)]
