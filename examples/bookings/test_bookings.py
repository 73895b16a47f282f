"""The service, from outside and from inside."""

from __future__ import annotations

import asyncio
from datetime import date

import httpx
import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from databases import Database
from databases.contrib.opentelemetry import instrument
from databases.testing import assert_num_queries
from examples.bookings import store
from examples.bookings.app import app

DAY = date(2030, 5, 1)
WANTED = {"day": str(DAY), "guest": "ada"}


@pytest.mark.asyncio
async def test_booking_is_found_on_its_day(client: httpx.AsyncClient) -> None:
    made = await client.post("/rooms/blue/bookings", json=WANTED)

    found = await client.get(f"/bookings/{DAY}")

    assert made.status_code == 201
    assert found.json() == [made.json()]
    assert made.json() == {"id": made.json()["id"], "room": "blue", **WANTED}


@pytest.mark.asyncio
async def test_of_many_guests_one_gets_the_room(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/rooms/blue/bookings", json=WANTED) for _ in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert len(await store.list_bookings(DAY)) == 1


@pytest.mark.asyncio
async def test_cancelled_booking_can_be_booked_again(client: httpx.AsyncClient) -> None:
    key = (await client.post("/rooms/blue/bookings", json=WANTED)).json()["id"]

    first = await client.delete(f"/bookings/{key}")
    second = await client.delete(f"/bookings/{key}")
    again = await client.post("/rooms/blue/bookings", json=WANTED)

    assert (first.status_code, second.status_code, again.status_code) == (204, 404, 201)


@pytest.mark.asyncio
async def test_unknown_room_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rooms/red/bookings", json=WANTED)

    assert answer.status_code == 404


@pytest.mark.asyncio
async def test_rooms_are_typed_rows(client: httpx.AsyncClient) -> None:
    await store.add_room("green", 2)

    rooms = await store.list_rooms(seats=2)

    assert [(room.name, room.seats) for room in rooms] == [("green", 2), ("blue", 4)]


@pytest.mark.asyncio
async def test_a_day_takes_one_query_however_full_it_is(
    client: httpx.AsyncClient, database: Database
) -> None:
    for name in ("green", "red"):
        await store.add_room(name, 2)
        await store.book(name, DAY, "bob")

    with assert_num_queries(database, 1):
        answer = await client.get(f"/bookings/{DAY}")

    assert [booking["room"] for booking in answer.json()] == ["green", "red"]


def test_service_starts_and_ends_by_itself(database: Database) -> None:
    with TestClient(app) as client:
        assert client.get("/rooms").json() == []


@pytest.mark.asyncio
async def test_guests_at_once_over_connections_of_their_own(fresh_database: Database) -> None:
    await store.add_room("blue", 4)

    results = await asyncio.gather(
        *(store.book("blue", DAY, "ada") for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(result, store.Booking) for result in results) == 1
    assert sum(isinstance(result, store.TakenError) for result in results) == 4


@pytest.mark.asyncio
async def test_queries_are_spans(database: Database) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    await store.add_room("blue", 4)

    stop = instrument(database, tracer_provider=provider)
    await store.book("blue", DAY, "ada")
    stop()

    names = [span.name.partition(" ")[0] for span in spans.get_finished_spans()]
    assert names == ["SAVEPOINT", "SELECT", "SELECT", "INSERT", "SELECT", "RELEASE"]
