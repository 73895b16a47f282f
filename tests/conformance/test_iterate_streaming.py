"""`iterate()` streams: the result is never held as a whole, on any driver."""

from __future__ import annotations

import gc
import os
import pathlib
import tracemalloc
from contextlib import AbstractAsyncContextManager, nullcontext

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase

MEBIBYTE = 1024 * 1024
RESULT = 100 * MEBIBYTE
"""The size of the whole result: 10 000 rows of 10 kB."""
ALLOWED = 40 * MEBIBYTE
"""More than a batch may take, much less than the result."""

WIDE = {
    "postgresql": "repeat('x', 10486)",
    "mysql": "repeat('x', 10486)",
    "sqlite": "hex(zeroblob(5243))",
}
QUERY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
    "SELECT a.i AS a, b.i AS b, {wide} AS wide FROM n a CROSS JOIN n b"
)


def resident() -> int:
    """Give the memory of this process, in bytes, as the kernel counts it."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def read(database: Database, query: str) -> tuple[int, int]:
    """Read *query* row by row and give the number of rows and the most memory taken."""
    gc.collect()
    before, most, count = resident(), 0, 0
    async for record in database.iterate(query):
        assert len(record["wide"]) == 10486
        count += 1
        if count % 100 == 1:
            most = max(most, resident() - before)
    return count, most


async def test_memory_does_not_grow_with_the_result(database: Database, driver: DriverCase) -> None:
    query = QUERY.format(wide=WIDE[driver.dialect])

    count, most = await read(database, query)

    assert count * 10486 >= RESULT
    assert most < ALLOWED


async def test_memory_does_not_grow_with_the_result_in_a_transaction(
    database: Database, driver: DriverCase
) -> None:
    query = QUERY.format(wide=WIDE[driver.dialect])

    async with database.transaction():
        count, most = await read(database, query)

    assert count * 10486 >= RESULT
    assert most < ALLOWED


async def left_and_gone_on(database: Database, query: str, where: str) -> float:
    """Leave a loop over *query*, query on, and give the most that Python held, in MiB."""
    block: AbstractAsyncContextManager[object] = nullcontext()
    if where != "alone":
        on_connection = where == "on its connection"
        block = database.connection() if on_connection else database.transaction()
    async with block:
        tracemalloc.start()
        try:
            async for _ in database.iterate(query):
                break
            assert await database.fetch_val("SELECT 1") == 1
            return tracemalloc.get_traced_memory()[1] / MEBIBYTE
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("where", ["alone", "on its connection", "in its transaction"])
async def test_the_rest_of_a_large_result_is_not_held_after_a_break(
    make_database: MakeDatabase, driver: DriverCase, where: str
) -> None:
    query = QUERY.format(wide=WIDE[driver.dialect])
    async with make_database(max_size=1) as database:
        gc.collect()
        before = resident()
        # A batch of 256 rows has 2.6 MiB, and some drivers hold two.
        assert await within(left_and_gone_on(database, query, where)) < 10
        gc.collect()

        assert resident() - before < ALLOWED
