"""OpenTelemetry: the spans and metrics of a database, by the real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from databases import Database, DatabaseURL
from databases.contrib.opentelemetry import instrument
from databases.errors import PoolTimeoutError
from tests.conftest import MakeDatabase
from tests.faults.acts import slow_query
from tests.support.drivers import DriverCase, requires
from tests.support.tables import notes, pairs

RAW_INSERT = "INSERT INTO notes (text) VALUES (:text)"
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


class NotingSampler(Sampler):
    """Sample everything, and note what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        attributes = kwargs.get("attributes", args[4] if len(args) > 4 else None)
        self.asked.append(dict(attributes or {}))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "notes"


class Collected:
    """What has come out of the SDK."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.sampler = NotingSampler()
        self.tracer_provider = TracerProvider(sampler=self.sampler)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider(metric_readers=[self.reader])
        self.tracer: Tracer = self.tracer_provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def clear(self) -> None:
        self.exporter.clear()
        self.sampler.asked.clear()

    def points(self, name: str) -> list[Any]:
        """Return the data points of the metric *name*."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def point(self, name: str, **attributes: Any) -> Any:
        """Return the only data point of *name* with *attributes*, dots written as ``__``."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        (point,) = (
            each for each in self.points(name) if wanted.items() <= dict(each.attributes).items()
        )
        return point

    def instrument(self, database: Database) -> Any:
        return instrument(
            database, tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    collected.meter_provider.shutdown()
    collected.tracer_provider.shutdown()


@pytest.fixture
def watched(database: Database, collected: Collected) -> Database:
    """Give a database with spans and metrics."""
    collected.instrument(database)
    return database


async def test_an_expression_is_a_span(
    watched: Database, collected: Collected, driver: DriverCase, url: str
) -> None:
    await watched.fetch_all(notes.select().where(notes.c.text == "needle"))

    span, parsed = collected.span, DatabaseURL(url)
    assert (span.name, span.kind) == ("SELECT notes", SpanKind.CLIENT)
    attributes = attributes_of(span)
    assert attributes.pop("db.system.name") in {driver.dialect, "mariadb"}
    assert "FROM notes" in attributes["db.query.text"]
    assert "needle" not in attributes.pop("db.query.text")
    server = (
        {"server.address": parsed.hostname, "server.port": parsed.port} if parsed.hostname else {}
    )
    assert attributes == {
        "db.namespace": parsed.database,
        "db.collection.name": "notes",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT notes",
        **server,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "databases"


@requires("charsets")
async def test_mariadb_is_named_as_what_it_is(watched: Database, collected: Collected) -> None:
    version = await watched.fetch_val("SELECT version()")

    name = attributes_of(collected.span)["db.system.name"]
    assert name == ("mariadb" if "MariaDB" in version else "mysql")


async def test_a_string_is_not_parsed_for_its_operation(
    watched: Database, collected: Collected, url: str
) -> None:
    await watched.fetch_all("SELECT text FROM notes WHERE id = :id", {"id": 1})

    attributes = attributes_of(collected.span)
    assert collected.span.name == DatabaseURL(url).database
    assert attributes["db.query.text"].startswith("SELECT text FROM notes WHERE id = ")
    unknown = {"db.operation.name", "db.collection.name", "db.query.summary"}
    assert unknown.isdisjoint(attributes)


async def test_text_without_parameters_loses_its_literals(
    watched: Database, collected: Collected
) -> None:
    await watched.fetch_all("SELECT text FROM notes WHERE text = 'needle' AND id = 17")

    text = attributes_of(collected.span)["db.query.text"]
    assert text == "SELECT text FROM notes WHERE text = ? AND id = ?"


async def test_a_join_has_an_operation_and_no_table(
    watched: Database, collected: Collected, url: str
) -> None:
    await watched.fetch_all(sa.select(notes.c.id).join(pairs, pairs.c.left == notes.c.id))

    assert collected.span.name == f"SELECT {DatabaseURL(url).database}"
    assert attributes_of(collected.span)["db.operation.name"] == "SELECT"
    assert "db.collection.name" not in attributes_of(collected.span)


@pytest.mark.parametrize(("count", "name"), [(1, "INSERT notes"), (3, "BATCH INSERT notes")])
async def test_a_batch_says_how_large_it_is(
    watched: Database, collected: Collected, count: int, name: str
) -> None:
    await watched.execute_many(notes.insert(), [{"text": str(n)} for n in range(count)])

    attributes = attributes_of(collected.span)
    assert collected.span.name == name
    assert attributes["db.operation.name"] == name.removesuffix(" notes")
    assert attributes.get("db.operation.batch.size") == (count if count > 1 else None)


async def test_iterate_is_one_span(watched: Database, collected: Collected) -> None:
    await watched.execute_many(RAW_INSERT, [{"text": str(n)} for n in range(600)])
    collected.clear()

    async for _ in watched.iterate(notes.select()):
        pass

    # A stream may need a transaction, which is not the program's.
    assert collected.names == ["SELECT notes"]


async def test_transactions_have_spans(watched: Database, collected: Collected, url: str) -> None:
    async with watched.transaction():
        async with watched.transaction():
            pass
        with pytest.raises(KeyError):
            async with watched.transaction():
                raise KeyError

    namespace = DatabaseURL(url).database
    assert collected.names == [
        f"{operation} {namespace}"
        for operation in (
            "BEGIN",
            "SAVEPOINT",
            "RELEASE SAVEPOINT",
            "SAVEPOINT",
            "ROLLBACK TO SAVEPOINT",
            "COMMIT",
        )
    ]


async def test_spans_are_children_of_the_callers(watched: Database, collected: Collected) -> None:
    with collected.tracer.start_as_current_span("request") as request:
        await watched.fetch_val("SELECT 1")
        async for _ in watched.iterate("SELECT 1"):
            with collected.tracer.start_as_current_span("row"):
                pass
        async with watched.transaction():
            pass
    await watched.fetch_val("SELECT 1")

    *inside, alone = [span for span in collected.spans if span.name not in {"request", "row"}]
    assert len(inside) == 4
    assert {span.parent and span.parent.span_id for span in inside} == {
        request.get_span_context().span_id
    }
    assert alone.parent is None


async def test_a_span_is_as_long_as_its_query(watched: Database, collected: Collected) -> None:
    with collected.tracer.start_as_current_span("request"):
        await watched.fetch_val("SELECT 1")

    query, request = collected.spans
    assert None not in (query.start_time, query.end_time, request.start_time, request.end_time)
    assert (
        (request.start_time or 0)
        <= (query.start_time or 0)
        < (query.end_time or 0)
        <= (request.end_time or 0)
    )
    (point,) = collected.points("db.client.operation.duration")
    assert point.sum == pytest.approx(
        ((query.end_time or 0) - (query.start_time or 0)) / 1e9, abs=1e-6
    )


async def test_a_sampler_is_asked_with_everything_that_is_known(
    watched: Database, collected: Collected
) -> None:
    await watched.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])

    assert collected.sampler.asked == [attributes_of(collected.span)]


CODES = {"postgresql": "42P01", "mysql": "1146", "sqlite": "SQLITE_ERROR"}


async def test_a_failed_query_has_its_code(
    watched: Database, collected: Collected, driver: DriverCase
) -> None:
    with pytest.raises(driver.error) as raised:
        await watched.fetch_all("SELECT secret FROM nowhere")

    attributes = attributes_of(collected.span)
    if driver.dialect != "sqlite" or hasattr(raised.value, "sqlite_errorname"):
        assert attributes["db.response.status_code"] == driver.text(**CODES)
        assert attributes["error.type"] == driver.text(**CODES)
    assert collected.span.status.status_code is StatusCode.ERROR
    assert type(raised.value).__qualname__ in str(collected.span.status.description)
    assert "secret" not in str(collected.span.status.description)


async def test_a_cancelled_query_has_the_name_of_its_error(
    watched: Database, collected: Collected, driver: DriverCase
) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(watched.fetch_val(slow_query(driver)), 0.1)

    attributes = attributes_of(collected.span)
    assert attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert "db.response.status_code" not in attributes
    assert collected.span.status.status_code is StatusCode.ERROR


async def test_the_duration_is_a_histogram_with_the_advised_buckets(
    watched: Database, collected: Collected, driver: DriverCase
) -> None:
    await watched.fetch_all(notes.select())
    await watched.fetch_all(notes.select())
    await watched.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])
    with pytest.raises(driver.error):
        await watched.fetch_all("SELECT nonsense FROM nowhere")

    point = collected.point("db.client.operation.duration", db__operation__name="SELECT")
    assert point.count == 2
    assert 0 < point.sum < 10
    assert tuple(point.explicit_bounds) == BUCKETS
    assert "db.query.text" not in point.attributes
    batch = collected.point("db.client.operation.duration", db__operation__name="BATCH INSERT")
    assert "db.operation.batch.size" not in batch.attributes
    failed = [
        each
        for each in collected.points("db.client.operation.duration")
        if "error.type" in each.attributes
    ]
    assert len(failed) == 1


async def test_the_pool_is_measured(make_database: MakeDatabase, collected: Collected) -> None:
    async with make_database(min_size=2, max_size=3, acquire_timeout=0.05) as database:
        collected.instrument(database)

        async def ask() -> None:
            await database.fetch_val("SELECT 1")

        async with database.connection():
            name = "db.client.connection.count"
            assert collected.point(name, db__client__connection__state="used").value == 1
            assert collected.point(name, db__client__connection__state="idle").value == 1
            assert collected.point("db.client.connection.idle.min").value == 2
            assert collected.point("db.client.connection.max").value == 3
            assert collected.point("db.client.connection.idle.max").value == 3
            assert collected.point("db.client.connection.pending_requests").value == 0
            wait = collected.point("db.client.connection.wait_time")
            assert wait.count == 1
            assert wait.attributes["db.client.connection.pool.name"]
            await asyncio.ensure_future(ask())

        assert collected.points("db.client.connection.timeouts") == []
        assert collected.point("db.client.connection.wait_time").count == 2


async def test_the_life_of_a_connection_is_measured(
    make_database: MakeDatabase, collected: Collected
) -> None:
    database = make_database(min_size=1, max_size=1)
    collected.instrument(database)
    async with database:
        created = collected.point("db.client.connection.create_time")
        assert created.count == 1
        assert created.sum > 0
        for _ in range(2):
            async with database.connection() as connection:
                await connection.fetch_val("SELECT 1")
                await asyncio.sleep(0.02)

        used = collected.point("db.client.connection.use_time")
        assert used.count == 2
        assert used.sum >= 0.04
        assert used.attributes == created.attributes
        assert collected.point("db.client.connection.create_time").count == 1


async def test_a_time_out_of_the_pool_is_counted(
    make_database: MakeDatabase, collected: Collected
) -> None:
    async with make_database(max_size=1, acquire_timeout=0.05) as database:
        collected.instrument(database)

        async def ask() -> None:
            await database.fetch_val("SELECT 1")

        async with database.connection():
            with pytest.raises(PoolTimeoutError):
                await asyncio.ensure_future(ask())

    assert collected.point("db.client.connection.timeouts").value == 1
    assert collected.points("db.client.connection.count") == []


async def test_two_pools_of_one_database_have_two_names(
    make_database: MakeDatabase, collected: Collected
) -> None:
    async with make_database() as one, make_database() as other:
        collected.instrument(one)
        collected.instrument(other)

        points = collected.points("db.client.connection.idle.min")

    names = [point.attributes["db.client.connection.pool.name"] for point in points]
    assert len(names) == 2
    assert names[1] == f"{names[0]} (2)"


async def test_after_the_end_there_is_nothing(watched: Database, collected: Collected) -> None:
    other = Collected()
    stop = other.instrument(watched)
    stop()

    await watched.fetch_val("SELECT 1")

    assert other.spans == []
    assert other.points("db.client.connection.count") == []
    assert len(collected.spans) == 1
    other.meter_provider.shutdown()
