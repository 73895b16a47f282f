"""Fixtures that connect on the event loops of pytest-asyncio: one for each scope of loops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

import pytest_asyncio

if TYPE_CHECKING:
    from databases.core import Database

__all__: list[str] = []

_Scope = Literal["function", "class", "module", "package", "session"]


def _connected(scope: _Scope) -> Any:
    @pytest_asyncio.fixture(loop_scope=scope, name=f"_connected_on_{scope}_loop")
    async def connected(application_database: Database) -> AsyncIterator[None]:
        await application_database.connect()
        yield
        await application_database.disconnect()

    return connected


on_function_loop = _connected("function")
on_class_loop = _connected("class")
on_module_loop = _connected("module")
on_package_loop = _connected("package")
on_session_loop = _connected("session")
