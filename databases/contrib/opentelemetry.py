"""OpenTelemetry: spans and metrics of a database, by the stable conventions for databases.

Install ``databases[otel]`` and call `instrument` once for each `Database`.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from databases import Database, __version__
from databases.backends.common.slots import PoolStats
from databases.contrib.conventions import (
    BATCH_SIZE,
    POOL_NAME,
    POOL_STATE,
    Attributes,
    about_error,
    about_query,
    about_source,
    about_transaction,
    name_of,
    pool_name,
    text_of,
    type_of,
)
from databases.errors import DriverNotInstalledError, PoolTimeoutError
from databases.events import (
    AcquireEvent,
    ConnectEvent,
    Event,
    QueryEvent,
    ReleaseEvent,
    TransactionEvent,
)
from databases.listeners import source_of

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as error:
    raise DriverNotInstalledError(
        "cannot use databases.contrib.opentelemetry: opentelemetry-api is not installed; "
        "pip install databases[otel]"
    ) from error

__all__ = ["instrument"]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
DURATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds, as the conventions advise."""


def instrument(
    database: Database,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Callable[[], None]:
    """Give *database* spans and metrics; the function returned ends that.

    Without providers the global ones are used, also those that are set later.
    Spans are children of the span that is current where a query is made.
    """
    tracer = trace.get_tracer("databases", __version__, tracer_provider, SCHEMA_URL)
    meters = _meters_of(meter_provider)
    pool = meters.add_pool(database)
    end = database.listen(_Telemetry(tracer, meters, pool))

    def stop() -> None:
        end()
        meters.pools.pop(pool, None)

    return stop


class _Telemetry:
    """The listener that makes spans and measures."""

    def __init__(self, tracer: trace.Tracer, meters: _Meters, pool: str) -> None:
        self._tracer = tracer
        self._meters = meters
        self._pool: Attributes = {POOL_NAME: pool}

    def __call__(self, event: Event) -> None:
        """Turn *event* into what OpenTelemetry makes of it."""
        if isinstance(event, QueryEvent):
            self._tell(event, about_query(event), text_of(event))
        elif isinstance(event, TransactionEvent):
            self._tell(event, about_transaction(event), None)
        elif isinstance(event, AcquireEvent):
            self._tell_acquire(event)
        elif isinstance(event, ReleaseEvent):
            self._meters.use_time.record(event.duration, self._pool)
        elif isinstance(event, ConnectEvent) and event.error is None:
            self._meters.create_time.record(event.duration, self._pool)

    def _tell(self, event: Event, about: Attributes, text: str | None) -> None:
        ended = time.time_ns()
        attributes = about_source(event.source) | about
        name = name_of(attributes)
        failure: Attributes = {} if event.error is None else about_error(event.error)
        measured = {key: value for key, value in attributes.items() if key != BATCH_SIZE}
        self._meters.duration.record(event.duration, measured | failure)
        if text is not None:
            attributes["db.query.text"] = text
        # Everything a sampler may ask for is given at the start.
        span = self._tracer.start_span(
            name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - int(event.duration * 1e9),
        )
        if event.error is not None:
            span.set_attributes(failure)
            # Not the message: it may hold values.
            span.set_status(Status(StatusCode.ERROR, type_of(event.error)))
        span.end(ended)

    def _tell_acquire(self, event: AcquireEvent) -> None:
        if event.error is None:
            self._meters.wait_time.record(event.duration, self._pool)
        elif isinstance(event.error, PoolTimeoutError):
            self._meters.timeouts.add(1, self._pool)


class _Meters:
    """The instruments of one provider, shared by the databases that it measures."""

    def __init__(self, provider: metrics.MeterProvider | None) -> None:
        meter = metrics.get_meter("databases", __version__, provider, SCHEMA_URL)
        self.pools: dict[str, weakref.ref[Database]] = {}
        self.duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self.create_time, self.wait_time, self.use_time = (
            meter.create_histogram(
                f"db.client.connection.{name}",
                unit="s",
                description=description,
                explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
            )
            for name, description in (
                ("create_time", "The time it took to create a new connection."),
                ("wait_time", "The time it took to obtain an open connection from the pool."),
                ("use_time", "The time between borrowing a connection and returning it."),
            )
        )
        self.timeouts = meter.create_counter(
            "db.client.connection.timeouts",
            unit="{timeout}",
            description="Timeouts while waiting for a connection from the pool.",
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.count",
            [self._observer(_count)],
            unit="{connection}",
            description="Connections of the pool by state.",
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.idle.min",
            [self._observer(lambda stats: [(stats.min_size, {})])],
            unit="{connection}",
            description="Connections that the pool keeps open.",
        )
        for name, description in (
            ("max", "Most connections that the pool may have open."),
            ("idle.max", "Most idle connections that the pool keeps open."),
        ):
            meter.create_observable_up_down_counter(
                f"db.client.connection.{name}",
                [self._observer(lambda s: [] if s.max_size is None else [(s.max_size, {})])],
                unit="{connection}",
                description=description,
            )
        meter.create_observable_up_down_counter(
            "db.client.connection.pending_requests",
            [self._observer(lambda stats: [(stats.waiting, {})])],
            unit="{request}",
            description="Tasks that wait for a connection.",
        )

    def add_pool(self, database: Database) -> str:
        """Observe the pool of *database*; return its name, which no other pool has."""
        for name, known in list(self.pools.items()):
            if known() is None:
                del self.pools[name]
        base = name = pool_name(source_of(database.url))
        count = 1
        while name in self.pools:
            count += 1
            name = f"{base} ({count})"
        # Weak: what is measured must not live for that alone.
        self.pools[name] = weakref.ref(database)
        return name

    def _observer(
        self, read: Callable[[PoolStats], list[tuple[int, Attributes]]]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_options: CallbackOptions) -> Iterator[Observation]:
            # Called by the exporter's thread.
            for name, known in list(self.pools.items()):
                database = known()
                if database is not None and database.is_connected:
                    for value, attributes in read(database.pool_stats()):
                        pool: Attributes = {POOL_NAME: name}
                        yield Observation(value, pool | attributes)

        return observe


# By provider: a second instrument of the same name would not be read.
_known_meters: weakref.WeakKeyDictionary[Any, _Meters] = weakref.WeakKeyDictionary()
_global_meters: list[_Meters] = []


def _meters_of(provider: metrics.MeterProvider | None) -> _Meters:
    if provider is None:
        if not _global_meters:
            _global_meters.append(_Meters(None))
        return _global_meters[0]
    if provider not in _known_meters:
        _known_meters[provider] = _Meters(provider)
    return _known_meters[provider]


def _count(stats: PoolStats) -> list[tuple[int, Attributes]]:
    return [
        (stats.idle, {POOL_STATE: "idle"}),
        (stats.in_use + stats.cleaning, {POOL_STATE: "used"}),
    ]
