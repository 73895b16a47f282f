"""Fixtures of the compatibility tests, and a marker that keeps a test to some drivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from databases import Database
from tests.support.drivers import DriverCase

DRIVERS_BY_SCHEME = {
    "sqlite": "aiosqlite",
    "sqlite+aiosqlite": "aiosqlite",
    "mysql": "aiomysql",
    "mysql+aiomysql": "aiomysql",
    "mysql+asyncmy": "asyncmy",
    "postgres": "asyncpg",
    "postgresql": "asyncpg",
    "postgresql+asyncpg": "asyncpg",
    "postgresql+aiopg": "aiopg",
    "postgresql+psycopg": "psycopg",
}
"""Every form of URL. A test that is parametrized by `scheme` runs on that scheme's driver."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "drivers(*names): collect the test for these drivers only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the drivers that a test is not about: that is not a skipped test."""
    left_out = [item for item in items if not _is_about_its_driver(item)]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


def _is_about_its_driver(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return True
    case = cast("DriverCase | None", item.callspec.params.get("driver"))
    if case is None:
        return True
    marker = item.get_closest_marker("drivers")
    if marker is not None and case.name not in marker.args:
        return False
    scheme = item.callspec.params.get("scheme")
    return DRIVERS_BY_SCHEME.get(str(scheme), case.name) == case.name


@pytest.fixture(autouse=True)
def known_backends() -> Iterator[None]:
    """Let a test change ``SUPPORTED_BACKENDS`` in place; the next one finds it as it was."""
    before = dict(Database.SUPPORTED_BACKENDS)
    yield
    Database.SUPPORTED_BACKENDS.clear()
    Database.SUPPORTED_BACKENDS.update(before)
