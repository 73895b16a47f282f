"""Queries: the verbs that a database and a connection have in common."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from sqlalchemy import ClauseElement, ColumnElement
from sqlalchemy.sql.selectable import TypedReturnsRows

from databases.interfaces import Record
from databases.results import Result
from databases.shapes import shape_of

__all__ = ["Queries"]

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    # What a SELECT of typed columns gives: SQLAlchemy 2.0 writes its type as
    # Select[tuple[int, str]], and 2.1 as Select[int, str].
    Row = TypeVar("Row", bound=tuple[Any, ...])
    Columns = TypeVarTuple("Columns")

    class TupleClass(Protocol):
        """The class ``tuple``, and not a ``NamedTuple``, which is made in another way."""

        @overload
        def __call__(self) -> tuple[Any, ...]: ...
        @overload
        def __call__(self, values: Iterable[Any], /) -> tuple[Any, ...]: ...


class Queries:
    """The query verbs of `Database` and `Connection`, which say where a query runs.

    *query* is a SQLAlchemy Core expression, or a string whose ``:name``
    parameters *values* fills. With *timeout* seconds passed, the statement is
    stopped on the server and ``TimeoutError`` raised.

    *into* makes objects of the rows: of a dataclass, ``NamedTuple``,
    ``TypedDict``, attrs class, msgspec Struct or pydantic model whose fields
    bear the names of the columns, or whatever a function makes of a record.
    Raises `RecordTypeError` where columns and fields do not match.
    """

    def _runner(self, verb: str, timeout: float | None) -> Callable[..., Awaitable[Any]]:
        """Return what runs *verb* of a query and its values; it is called at once."""
        raise NotImplementedError

    def _batches(
        self, query: ClauseElement | str, values: Mapping[str, Any] | None, timeout: float | None
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Yield the records of *query* in lists, as the server sends them."""
        raise NotImplementedError

    @overload
    async def fetch_all(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: None = None,
    ) -> list[Record]: ...
    @overload
    async def fetch_all(
        self,
        query: TypedReturnsRows[Row],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> list[Row]: ...
    @overload
    async def fetch_all(
        self,
        query: TypedReturnsRows[Unpack[Columns]],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> list[tuple[Unpack[Columns]]]: ...
    @overload
    async def fetch_all(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: type[T],
    ) -> list[T]: ...
    @overload
    async def fetch_all(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], T],
    ) -> list[T]: ...
    async def fetch_all(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], Any] | None = None,
    ) -> list[Any]:
        """Return every row of *query*, in server order."""
        if into is None:
            records: list[Record] = await self._runner("fetch_all", timeout)(query, values)
            return records
        shape = shape_of(into)
        return shape.all(await self._runner("fetch_all", timeout)(query, values))

    @overload
    async def fetch_one(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: None = None,
    ) -> Record | None: ...
    @overload
    async def fetch_one(
        self,
        query: TypedReturnsRows[Row],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> Row | None: ...
    @overload
    async def fetch_one(
        self,
        query: TypedReturnsRows[Unpack[Columns]],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> tuple[Unpack[Columns]] | None: ...
    @overload
    async def fetch_one(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: type[T],
    ) -> T | None: ...
    @overload
    async def fetch_one(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], T],
    ) -> T | None: ...
    async def fetch_one(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], Any] | None = None,
    ) -> Any:
        """Return the first row of *query*, or None."""
        if into is None:
            return await self._runner("fetch_one", timeout)(query, values)
        shape = shape_of(into)
        return shape.one(await self._runner("fetch_one", timeout)(query, values))

    async def fetch_val(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        column: int | str | ColumnElement[Any] = 0,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Return one value of the first row of *query*, or None.

        *column* is a position, a name or a SQLAlchemy column.
        """
        return await self._runner("fetch_val", timeout)(query, values, column)

    async def fetch_column(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        column: int | str | ColumnElement[Any] = 0,
        *,
        timeout: float | None = None,
    ) -> list[Any]:
        """Return one value of every row of *query*; *column* as for `fetch_val`."""
        records = await self._runner("fetch_all", timeout)(query, values)
        return [record[column] for record in records]

    async def execute(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Run *query*; return its key, row count or value (see the queries page)."""
        return await self._runner("execute", timeout)(query, values)

    async def run(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Result:
        """Run *query*; return all that is known of what it did, on every driver alike."""
        result: Result = await self._runner("run", timeout)(query, values)
        return result

    async def execute_many(
        self,
        query: ClauseElement | str,
        values: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]] | None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Run *query* once per row of *values*, all or none of them.

        *values* may be asynchronous, a generator for example. Rows are taken
        from it as they are sent, so that memory does not grow with them.
        """
        await self._runner("execute_many", timeout)(query, values)

    @overload
    def iterate(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: None = None,
    ) -> AsyncGenerator[Record, None]: ...
    @overload
    def iterate(
        self,
        query: TypedReturnsRows[Row],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> AsyncGenerator[Row, None]: ...
    @overload
    def iterate(
        self,
        query: TypedReturnsRows[Unpack[Columns]],
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: TupleClass,
    ) -> AsyncGenerator[tuple[Unpack[Columns]], None]: ...
    @overload
    def iterate(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: type[T],
    ) -> AsyncGenerator[T, None]: ...
    @overload
    def iterate(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], T],
    ) -> AsyncGenerator[T, None]: ...
    async def iterate(
        self,
        query: ClauseElement | str,
        values: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        into: Callable[[Record], Any] | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Yield the rows of *query* as the server sends them.

        Outside a transaction, those of a database come over a connection of
        their own, so that what the loop's body writes is committed on its own.
        *timeout* is the longest wait for the next rows, in seconds.
        """
        shape = None if into is None else shape_of(into)
        number = 1
        async with aclosing(self._batches(query, values, timeout)) as batches:
            async for batch in batches:
                rows = batch if shape is None else shape.all(batch, number)
                number += len(batch)
                for row in rows:
                    yield row
