"""``mock.patch`` on the classes, and subclasses of ``Database``."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest

import databases
from databases import Database, core
from tests.conftest import MakeDatabase
from tests.support.outside import Outside

COROUTINES = (
    "connect disconnect fetch_all fetch_one fetch_val fetch_column execute execute_many run"
).split()
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "connect": (),
    "disconnect": (),
    "execute_many": ("INSERT INTO t (a) VALUES (:a)", [{"a": 1}]),
}


@pytest.mark.parametrize("method", COROUTINES)
@pytest.mark.parametrize("autospec", [False, True])
async def test_method_can_be_patched_on_the_class(method: str, autospec: bool) -> None:
    database = Database("postgresql://host/name")
    arguments = ARGUMENTS.get(method, ("SELECT :a", {"a": 1}))
    with mock.patch(f"databases.Database.{method}", autospec=autospec) as patched:
        patched.return_value = "answer"

        assert await getattr(database, method)(*arguments) == "answer"

    expected = (database, *arguments) if autospec else arguments
    patched.assert_awaited_once_with(*expected)


async def test_autospec_refuses_a_wrong_call() -> None:
    database: Any = Database("postgresql://host/name")

    with mock.patch("databases.Database.fetch_all", autospec=True):
        with pytest.raises(TypeError):
            await database.fetch_all()
        with pytest.raises(TypeError):
            await database.fetch_all("SELECT 1", nonsense=1)


async def test_patched_by_the_module_of_the_class() -> None:
    database = Database("postgresql://host/name")

    with mock.patch("databases.core.Database.fetch_one", autospec=True) as patched:
        patched.return_value = {"id": 1}

        answer: Any = await database.fetch_one("SELECT 1")
        assert answer == {"id": 1}


async def test_object_with_the_spec_of_a_database() -> None:
    database = mock.create_autospec(Database, instance=True)
    database.fetch_all.return_value = []

    assert await database.fetch_all(query="SELECT 1", values={"a": 1}) == []
    assert isinstance(database, Database)


async def test_original_method_is_back_after_the_patch(database: Database) -> None:
    with mock.patch("databases.Database.fetch_val", autospec=True):
        pass

    assert await database.fetch_val("SELECT 1") == 1


async def test_connection_can_be_overridden(make_database: MakeDatabase, outside: Outside) -> None:
    calls: list[core.Connection] = []

    class Watched(databases.Database):
        def connection(self) -> core.Connection:  # type: ignore[override]  # no "new"
            calls.append(super().connection())
            return calls[-1]

    async with Watched(outside.url) as database:
        async with database.connection() as connection:
            assert await database.fetch_val("SELECT 1") == 1
            async with database.transaction():
                await database.execute("INSERT INTO accounts (id, balance) VALUES (1, 1)")

        assert calls[0] is connection
        assert set(calls) == {connection}
        assert len(calls) >= 2


async def test_overridden_connection_is_taken_by_the_verbs(outside: Outside) -> None:
    class Lending(databases.Database):
        lent: core.Connection | None = None

        def connection(self) -> core.Connection:  # type: ignore[override]  # no "new"
            return self.lent or super().connection()

    async with Lending(outside.url) as database:
        async with database.connection() as connection, connection.transaction(force_rollback=True):
            database.lent = connection
            await database.execute("INSERT INTO accounts (id, balance) VALUES (1, 1)")
            database.lent = None

    assert outside.value("SELECT count(*) FROM accounts") == 0


async def test_overridden_connection_makes_its_own(outside: Outside) -> None:
    class Pinned(databases.Database):
        pinned: core.Connection | None = None

        def connection(self) -> core.Connection:  # type: ignore[override]  # no "new"
            if self.pinned is None:
                self.pinned = core.Connection(self, self._backend)
            return self.pinned

    async def child(database: Database) -> int:
        async with database.transaction():
            return id(database.connection())

    async with Pinned(outside.url) as database:
        assert await asyncio.create_task(child(database)) == id(database.connection())
        async with database.transaction(force_rollback=True):
            await database.execute("INSERT INTO accounts (id, balance) VALUES (1, 1)")
            assert await database.fetch_val("SELECT count(*) FROM accounts") == 1

    assert outside.value("SELECT count(*) FROM accounts") == 0


async def test_verb_can_be_overridden(outside: Outside) -> None:
    class Loud(databases.Database):
        async def fetch_val(  # type: ignore[override]  # written when there were no others
            self, query: Any, values: Any = None, column: Any = 0
        ) -> Any:
            return ("loud", await super().fetch_val(query, values, column))

    async with Loud(outside.url) as database:
        assert await database.fetch_val("SELECT 1") == ("loud", 1)


async def test_attributes_can_be_added_to_a_database(database: Any) -> None:
    database.purpose = "reading"

    assert database.purpose == "reading"


async def test_verbs_can_be_replaced_on_one_database(database: Database) -> None:
    with mock.patch.object(database, "fetch_all", mock.AsyncMock(return_value=["row"])):
        answer: Any = await database.fetch_all("SELECT 1")
        assert answer == ["row"]

    assert len(await database.fetch_all("SELECT 1")) == 1


SINGLE = "fetch_all fetch_one fetch_val execute".split()


@pytest.mark.parametrize("method", SINGLE)
async def test_connection_patched_on_the_class_serves_single_queries(
    database: Database, method: str
) -> None:
    with mock.patch(f"databases.core.Connection.{method}", autospec=True) as patched:
        patched.return_value = "answer"

        outside = await getattr(database, method)("SELECT 1")
        async with database.connection():
            inside = await getattr(database, method)("SELECT 1")

    assert (outside, inside) == ("answer", "answer")


@pytest.mark.parametrize("method", SINGLE)
async def test_connection_method_of_an_object_can_be_replaced(
    database: Database, method: str
) -> None:
    given = mock.create_autospec(core.Connection, instance=True)
    given.__aenter__.return_value = given
    getattr(given, method).return_value = "answer"

    with mock.patch.object(database, "connection", return_value=given):
        answer = await getattr(database, method)("SELECT 1")

    assert answer == "answer"
