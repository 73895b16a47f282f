"""What measures a program by replacing methods of a driver's cursors sees the statements."""

from __future__ import annotations

import functools
from typing import Any

import aiomysql
import pytest

from databases import Database
from tests.conftest import MakeDatabase

pytestmark = pytest.mark.drivers("aiomysql")


@pytest.mark.parametrize("keeps_name", [True, False])
async def test_it_sees_all_of_them(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch, *, keeps_name: bool
) -> None:
    seen: list[str] = []
    execute = aiomysql.Cursor.execute

    async def measured(self: Any, query: str, args: Any = None) -> Any:
        seen.append(query)
        return await execute(self, query, args)

    replacing = functools.wraps(execute)(measured) if keeps_name else measured
    monkeypatch.setattr(aiomysql.Cursor, "execute", replacing)
    database: Database = make_database()
    await database.connect()
    seen.clear()

    assert await database.fetch_val("SELECT :number", {"number": 42}) == 42
    assert [row[0] for row in await database.fetch_all("SELECT 43")] == [43]
    async with database.transaction():
        assert await database.execute("DO 0") == 0

    assert seen == ["SELECT %s", "SELECT 43", "BEGIN", "DO 0", "COMMIT"]
