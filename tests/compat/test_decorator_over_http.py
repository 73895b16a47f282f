"""One shared ``@database.transaction()`` under concurrent requests, on every form of URL."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from databases import Database, DatabaseURL
from tests.compat.web import APPLICATIONS, served
from tests.support.outside import Outside
from tests.support.tables import notes

SCHEMES = (
    "sqlite sqlite+aiosqlite mysql mysql+aiomysql mysql+asyncmy postgres postgresql"
    " postgresql+asyncpg postgresql+aiopg postgresql+psycopg"
).split()
REQUESTS = 30


@pytest.fixture
def application(request: pytest.FixtureRequest, outside: Outside, scheme: str) -> Any:
    """Make the application named by the test over a database of the given scheme."""
    database = Database(DatabaseURL(outside.url).replace(scheme=scheme))
    return APPLICATIONS[request.param](database)


def _post(client: httpx.AsyncClient, number: int, **params: Any) -> Any:
    return client.post("/notes", params={"text": f"note {number:02}", **params})


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("application", APPLICATIONS, indirect=True)
async def test_concurrent_requests_through_one_decorator_all_commit(
    application: Any, outside: Outside, scheme: str
) -> None:
    async with served(application) as client:
        answers = await asyncio.gather(*(_post(client, n) for n in range(REQUESTS)))
        shown = await client.get("/notes")

    texts = [f"note {n:02}" for n in range(REQUESTS)]
    assert [answer.status_code for answer in answers] == [200] * REQUESTS
    assert [answer.json() for answer in answers] == [{"text": t, "found": 1} for t in texts]
    assert sorted(row["text"] for row in shown.json()) == texts
    assert outside.column(notes.c.text) == texts


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("application", APPLICATIONS, indirect=True)
async def test_failing_requests_roll_back_alone(
    application: Any, outside: Outside, scheme: str
) -> None:
    def fail(number: int) -> dict[str, Any]:
        return {"fail": True} if number % 3 == 0 else {}

    async with served(application) as client:
        answers = await asyncio.gather(*(_post(client, n, **fail(n)) for n in range(REQUESTS)))

    expected = [409 if fail(n) else 200 for n in range(REQUESTS)]
    assert [answer.status_code for answer in answers] == expected
    assert outside.column(notes.c.text) == [f"note {n:02}" for n in range(REQUESTS) if n % 3]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_decorated_function_called_by_many_tasks_at_once(
    outside: Outside, scheme: str
) -> None:
    database = Database(DatabaseURL(outside.url).replace(scheme=scheme))

    @database.transaction()
    async def add(number: int) -> Any:
        await database.execute(notes.insert(), {"id": number, "text": "x"})
        return await database.fetch_val("SELECT count(*) FROM notes WHERE id = :id", {"id": number})

    async with database:
        found = await asyncio.gather(*(add(number) for number in range(1, REQUESTS)))

    assert found == [1] * (REQUESTS - 1)
    assert outside.column(notes.c.id) == list(range(1, REQUESTS))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_services_one_after_another_on_two_loops(outside: Outside, scheme: str) -> None:
    database = Database(DatabaseURL(outside.url).replace(scheme=scheme))
    application = APPLICATIONS["starlette"](database)

    async def serve(number: int) -> int:
        async with served(application) as client:
            answer: httpx.Response = await _post(client, number)
            return answer.status_code

    assert [asyncio.run(serve(number)) for number in range(2)] == [200, 200]
    assert outside.column(notes.c.text) == ["note 00", "note 01"]
