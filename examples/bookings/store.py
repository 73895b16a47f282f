"""The database of the service: its tables, its rows, and what is done with them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from databases import Database

database = Database(os.environ.get("DATABASE_URL") or "sqlite:///bookings.db")
# SQLite locks no rows: there a transaction that will write says so at its start.
_options: dict[str, Any] = {"mode": "immediate"} if database.url.dialect == "sqlite" else {}
writing = database.transaction(**_options)

metadata = sa.MetaData(
    # Constraints with names: migrations can drop them by name, on every database.
    naming_convention={"uq": "uq_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
)

rooms = sa.Table(
    "rooms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False, unique=True),
    sa.Column("seats", sa.Integer, nullable=False),
)

bookings = sa.Table(
    "bookings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("room_id", sa.ForeignKey(rooms.c.id), nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("guest", sa.String(40), nullable=False),
    sa.UniqueConstraint("room_id", "day"),
)


@dataclass(frozen=True)
class Room:
    """A room that can be booked."""

    id: int
    name: str
    seats: int


@dataclass(frozen=True)
class Booking:
    """A room that somebody has for a day."""

    id: int
    room: str
    day: date
    guest: str


class TakenError(Exception):
    """The room is booked on that day."""


_bookings = sa.select(
    bookings.c.id, rooms.c.name.label("room"), bookings.c.day, bookings.c.guest
).join_from(bookings, rooms)


async def list_rooms(seats: int) -> list[Room]:
    """List the rooms with at least *seats*, the smallest first."""
    query = rooms.select().where(rooms.c.seats >= seats)
    return await database.fetch_all(query.order_by(rooms.c.seats, rooms.c.name), into=Room)


async def list_bookings(day: date) -> list[Booking]:
    """List what is booked on *day*, by room."""
    query = _bookings.where(bookings.c.day == day).order_by(rooms.c.name)
    return await database.fetch_all(query, into=Booking)


async def add_room(name: str, seats: int) -> None:
    """Add a room."""
    await database.execute(rooms.insert().values(name=name, seats=seats))


@writing
async def book(name: str, day: date, guest: str) -> Booking:
    """Book the room *name*; `LookupError` if there is none, `TakenError` if it is taken."""
    # Locked until the end: of several guests at once the first one gets it.
    query = rooms.select().where(rooms.c.name == name).with_for_update()
    room = await database.fetch_one(query, into=Room)
    if room is None:
        raise LookupError(name)
    mine = (bookings.c.room_id == room.id) & (bookings.c.day == day)
    if await database.fetch_val(sa.select(bookings.c.id).where(mine)) is not None:
        raise TakenError(name)
    await database.execute(bookings.insert().values(room_id=room.id, day=day, guest=guest))
    [booking] = await database.fetch_all(_bookings.where(mine), into=Booking)
    return booking


async def cancel(key: int) -> bool:
    """Cancel a booking; tell whether there was one."""
    deleted: int = await database.execute(bookings.delete().where(bookings.c.id == key))
    return deleted > 0
