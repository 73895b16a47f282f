"""The library under uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from databases import Database
from tests.compat.web import APPLICATIONS, served
from tests.support.outside import Outside
from tests.support.tables import notes

uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this platform")

T = TypeVar("T")


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    loop = uvloop.new_event_loop()
    try:
        result: T = loop.run_until_complete(coroutine)
        loop.run_until_complete(loop.shutdown_asyncgens())
        return result
    finally:
        loop.close()


def test_queries_and_transactions(outside: Outside) -> None:
    async def main() -> list[Any]:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with Database(outside.url) as database:
            async with database.transaction():
                await database.execute(notes.insert(), {"text": "kept"})
                async with database.transaction(force_rollback=True):
                    await database.execute(notes.insert(), {"text": "undone"})
            await database.execute_many(notes.insert(), [{"text": "a"}, {"text": "b"}])
            return [row["text"] async for row in database.iterate(sa.select(notes.c.text))]

    assert sorted(_run(main())) == ["a", "b", "kept"]
    assert outside.column(notes.c.text) == ["a", "b", "kept"]


def test_concurrent_tasks_through_one_decorator(outside: Outside) -> None:
    database = Database(outside.url)

    @database.transaction()
    async def add(number: int) -> Any:
        await database.execute(notes.insert(), {"id": number})
        return await database.fetch_val(sa.select(notes.c.id).where(notes.c.id == number))

    async def main() -> list[Any]:
        async with database:
            return await asyncio.gather(*(add(number) for number in range(1, 31)))

    assert _run(main()) == list(range(1, 31))
    assert outside.count(notes) == 30


def test_cancelled_query_leaves_the_database_usable(outside: Outside) -> None:
    async def main() -> Any:
        async with Database(outside.url) as database:
            task = asyncio.create_task(database.fetch_val("SELECT 1"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await database.fetch_val("SELECT 2")

    assert _run(main()) == 2


def test_database_goes_from_asyncio_to_uvloop_and_back(outside: Outside) -> None:
    database = Database(outside.url)

    async def main() -> Any:
        async with database:
            return await database.fetch_val("SELECT 1")

    assert [asyncio.run(main()), _run(main()), asyncio.run(main())] == [1, 1, 1]


@pytest.mark.parametrize("framework", APPLICATIONS)
def test_service_under_uvloop(outside: Outside, framework: str) -> None:
    async def main() -> list[int]:
        async with served(APPLICATIONS[framework](Database(outside.url))) as client:
            posts = [client.post("/notes", params={"text": f"{n}"}) for n in range(10)]
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    assert _run(main()) == [200] * 10
    assert outside.count(notes) == 10
