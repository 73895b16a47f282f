"""Idle connections that a half-open network has silenced, and the limit of an acquire."""

from __future__ import annotations

import asyncio

import pytest

from databases import Database
from databases.errors import PoolTimeoutError
from tests.conftest import MakeDatabase
from tests.faults.acts import ends_in_time
from tests.support.drivers import requires
from tests.support.network import Network

pytestmark = [requires("server"), pytest.mark.fault]

COUNT = 3


async def _leave_idle(far: Database) -> None:
    """Leave three connections idle."""
    together = asyncio.Event()
    inside: list[None] = []

    async def enter() -> None:
        async with far.connection() as connection:
            await connection.fetch_val("SELECT 1")
            inside.append(None)
            if len(inside) == COUNT:
                together.set()
            await together.wait()

    await asyncio.gather(*(enter() for _ in range(COUNT)))
    assert far.pool_stats().idle == COUNT


async def test_an_acquire_keeps_its_limit_though_every_connection_is_silent(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    far = make_database(far_url, max_size=COUNT, pre_ping=True, acquire_timeout=1)
    await far.connect()
    await _leave_idle(far)
    network.swallow()

    async with ends_in_time(1, "acquiring"):
        with pytest.raises(PoolTimeoutError):
            await far.fetch_val("SELECT 1")


async def test_an_acquire_is_served_within_its_limit_though_every_idle_connection_is_silent(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    """The network is well for new connections: one silent one is enough to ask no other."""
    far = make_database(far_url, max_size=COUNT, pre_ping=True, acquire_timeout=3)
    await far.connect()
    await _leave_idle(far)
    network.silence()

    async with ends_in_time(2, "acquiring"):
        assert await far.fetch_val("SELECT 1") == 1

    assert far.pool_stats().idle == 1


async def test_the_limit_of_an_acquire_counts_for_hooks(
    make_database: MakeDatabase, far_url: str, network: Network
) -> None:
    hung: list[object] = []

    async def hang(raw: object) -> None:
        if not hung:
            hung.append(raw)
            await asyncio.Event().wait()

    far = make_database(far_url, max_size=1, on_acquire=hang, acquire_timeout=0.2)
    await far.connect()

    async with ends_in_time(0.2, "acquiring"):
        with pytest.raises(PoolTimeoutError, match="not ready"):
            await far.fetch_val("SELECT 1")

    assert await far.fetch_val("SELECT 1") == 1
