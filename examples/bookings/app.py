"""The service: `uvicorn examples.bookings.app:app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from databases.contrib.opentelemetry import instrument
from examples.bookings import store

Name = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]


class NewBooking(BaseModel):
    """What a guest sends."""

    day: date
    guest: Name


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect while the service runs; tell OpenTelemetry of every query."""
    stop = instrument(store.database)
    async with store.database:
        yield
    stop()


app = FastAPI(title="Bookings", lifespan=lifespan)


@app.get("/rooms")
async def list_rooms(seats: int = 1) -> list[store.Room]:
    """List the rooms with at least so many seats, the smallest first."""
    return await store.list_rooms(seats)


@app.get("/bookings/{day}")
async def list_bookings(day: date) -> list[store.Booking]:
    """List what is booked on a day."""
    return await store.list_bookings(day)


@app.post("/rooms/{name}/bookings", status_code=201)
async def book(name: Name, wanted: NewBooking) -> store.Booking:
    """Book a room for a day."""
    try:
        return await store.book(name, wanted.day, wanted.guest)
    except LookupError:
        raise HTTPException(404, f"no room {name!r}") from None
    except store.TakenError:
        raise HTTPException(409, f"{name!r} is booked on {wanted.day}") from None


@app.delete("/bookings/{key}", status_code=204)
async def cancel(key: int) -> None:
    """Cancel a booking."""
    if not await store.cancel(key):
        raise HTTPException(404, "no such booking")
