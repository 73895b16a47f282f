"""`DatabaseURL`: the types of its parts."""

from __future__ import annotations

from urllib.parse import SplitResult

import sqlalchemy as sa
from typing_extensions import assert_type

from databases import DatabaseURL, __version__

url = DatabaseURL("postgresql+asyncpg://user:password@localhost:5432/database?ssl=true")

DatabaseURL(url)
DatabaseURL(sa.make_url("sqlite://"))

version: str = __version__
assert_type(url.components, SplitResult)
assert_type(url.scheme, str)
assert_type(url.dialect, str)
assert_type(url.driver, str)
assert_type(url.userinfo, bytes | None)
assert_type(url.username, str | None)
assert_type(url.password, str | None)
assert_type(url.hostname, str | None)
assert_type(url.port, int | None)
assert_type(url.netloc, str)
assert_type(url.database, str)
assert_type(url.options, dict[str, str])
assert_type(url.obscure_password, str)
assert_type(str(url), str)
assert_type(url == "sqlite://", bool)
assert_type(hash(url), int)

assert_type(url.replace(database="other", port=5433, driver=None), DatabaseURL)
