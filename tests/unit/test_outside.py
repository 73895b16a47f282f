"""The tests' own look from outside: a passing lock does not disturb it, a lasting one is told."""

from __future__ import annotations

import pathlib
import sqlite3
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.support.drivers import DRIVERS, DriverCase
from tests.support.outside import Outside, make_outside
from tests.support.tables import notes


@pytest.fixture
def outside(tmp_path: pathlib.Path) -> Iterator[Outside]:
    capabilities = DRIVERS["aiosqlite"].capabilities
    made = make_outside(DriverCase("aiosqlite", "sqlite://", capabilities), tmp_path, 0)
    yield made
    made.drop()


@pytest.fixture
def other(outside: Outside) -> Iterator[sqlite3.Connection]:
    path = sa.make_url(outside.url).database
    assert path is not None
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    yield connection
    connection.close()


def test_a_passing_lock_is_waited_for(outside: Outside, other: sqlite3.Connection) -> None:
    timer = threading.Timer(0.05, other.execute, ["COMMIT"])
    timer.start()

    assert outside.count(notes) == 0

    timer.join()


def test_a_lasting_lock_is_an_error(outside: Outside, other: sqlite3.Connection) -> None:
    outside._lock_wait = 0.05

    with pytest.raises(sa.exc.OperationalError, match="locked"):
        outside.count(notes)


def test_nothing_is_waited_for_at_once(outside: Outside, other: sqlite3.Connection) -> None:
    outside._lock_wait = 60

    with outside.at_once(), pytest.raises(sa.exc.OperationalError, match="locked"):
        outside.count(notes)
    assert outside.open_transactions() == ["database is locked"]
    assert outside.sessions()
