"""The link to OpenTelemetry: without the extra, with the global providers, without a server."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest

from databases import Database
from databases.contrib.conventions import about_query, about_source, name_of, pool_name, text_of
from databases.contrib.opentelemetry import instrument
from databases.events import QueryEvent, Source

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
try:
    import databases.contrib.opentelemetry
except ImportError as error:
    print(error)
"""


def query(source: Source, sql: str = "SELECT 1", **known: Any) -> QueryEvent:
    return QueryEvent(
        source=source, duration=0.1, verb="execute", sql=sql, is_parameterized=False, **known
    )


def test_without_the_extra_the_error_names_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == (
        "cannot use databases.contrib.opentelemetry: opentelemetry-api is not installed; "
        "pip install databases[otel]"
    )


async def test_the_global_providers_do_nothing_until_they_are_set() -> None:
    async with Database("sqlite://") as database:
        stop = instrument(database)
        assert await database.fetch_val("SELECT 1") == 1
        stop()

    assert database._listeners is None


def test_an_instrumented_database_can_be_collected() -> None:
    database = Database("sqlite://")
    instrument(database)
    known = weakref.ref(database)

    del database
    gc.collect()

    assert known() is None


@pytest.mark.parametrize(
    ("source", "pool", "name"),
    [
        (Source("sqlite", None, None, None), "sqlite", "sqlite"),
        (Source("mysql", "shop", "db", None), "db:3306/shop", "shop"),
        (Source("mysql", None, "db", 3307), "db:3307", "db:3307"),
        (Source("mssql", "shop", "db", None), "db/shop", "shop"),
    ],
    ids=str,
)
def test_names_of_pools_and_spans(source: Source, pool: str, name: str) -> None:
    assert pool_name(source) == pool
    assert name_of(about_source(source)) == name


def test_the_default_port_is_left_out() -> None:
    assert "server.port" not in about_source(Source("postgresql", "shop", "db", 5432))
    assert about_source(Source("postgresql", "shop", "db", 5433))["server.port"] == 5433


def test_a_summary_is_cut() -> None:
    about = about_query(
        query(Source("sqlite", None, None, None), operation="SELECT", collection="x" * 300)
    )

    assert len(str(about["db.query.summary"])) == 255


def test_literals_of_an_unknown_database_are_not_shown() -> None:
    assert text_of(query(Source("mssql", None, None, None))) is None
