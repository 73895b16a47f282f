"""``DatabaseURL``: its parts, ``replace`` and what it is equal to."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult

import pytest
import sqlalchemy as sa

from databases import Database, DatabaseURL

FULL = "postgresql+asyncpg://u%40x:p%2Fw%23@localhost:123/mydb?a=1&b=x%20y"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("scheme", "postgresql+asyncpg"),
        ("dialect", "postgresql"),
        ("driver", "asyncpg"),
        ("username", "u@x"),
        ("password", "p/w#"),
        ("userinfo", b"u%40x:p%2Fw%23"),
        ("hostname", "localhost"),
        ("port", 123),
        ("netloc", "u%40x:p%2Fw%23@localhost:123"),
        ("database", "mydb"),
        ("options", {"a": "1", "b": "x y"}),
    ],
)
def test_part_of_a_full_url(part: str, expected: object) -> None:
    assert getattr(DatabaseURL(FULL), part) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("driver", ""),
        ("username", None),
        ("password", None),
        ("userinfo", None),
        ("hostname", None),
        ("port", None),
        ("netloc", ""),
        ("database", ""),
        ("options", {}),
    ],
)
def test_part_that_was_not_given(part: str, expected: object) -> None:
    assert getattr(DatabaseURL("sqlite://"), part) == expected


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("sqlite:///name.db", "name.db"),
        ("sqlite:////absolute/path.db", "/absolute/path.db"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "file::memory:"),
        ("mysql+aiomysql://localhost", ""),
        ("postgresql://h/d%20b", "d b"),
    ],
)
def test_database_is_the_decoded_path(text: str, database: str) -> None:
    assert DatabaseURL(text).database == database


@pytest.mark.parametrize(
    ("query", "hostname"),
    [
        ("host=/tmp", "/tmp"),
        ("unix_sock=/run/x.sock", "/run/x.sock"),
        ("host=/tmp&unix_sock=/run/x.sock", "/tmp"),
    ],
)
def test_hostname_falls_back_to_the_options(query: str, hostname: str) -> None:
    assert DatabaseURL(f"mysql:///db?{query}").hostname == hostname


def test_components_are_those_of_urlsplit() -> None:
    expected = SplitResult(
        "postgresql+asyncpg", "u%40x:p%2Fw%23@localhost:123", "/mydb", "a=1&b=x%20y", ""
    )

    assert DatabaseURL(FULL).components == expected
    assert isinstance(DatabaseURL(FULL).components, SplitResult)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "postgresql://u:p@localhost:5/db?x=1"),
        ({"username": "new"}, "postgresql://new:p@localhost:5/db?x=1"),
        ({"password": "new"}, "postgresql://u:new@localhost:5/db?x=1"),
        ({"hostname": "other"}, "postgresql://u:p@other:5/db?x=1"),
        ({"port": 7}, "postgresql://u:p@localhost:7/db?x=1"),
        ({"port": None}, "postgresql://u:p@localhost/db?x=1"),
        ({"database": "test_db"}, "postgresql://u:p@localhost:5/test_db?x=1"),
        ({"dialect": "mysql"}, "mysql://u:p@localhost:5/db?x=1"),
        ({"driver": "asyncpg"}, "postgresql+asyncpg://u:p@localhost:5/db?x=1"),
        ({"driver": None}, "postgresql://u:p@localhost:5/db?x=1"),
        ({"scheme": "other"}, "other://u:p@localhost:5/db?x=1"),
        ({"netloc": "h2:9"}, "postgresql://h2:9/db?x=1"),
        ({"path": "/other"}, "postgresql://u:p@localhost:5/other?x=1"),
        ({"query": "y=2"}, "postgresql://u:p@localhost:5/db?y=2"),
        ({"fragment": "f"}, "postgresql://u:p@localhost:5/db?x=1#f"),
        (
            {"username": "a", "password": "b", "hostname": "c", "port": 1, "database": "d"},
            "postgresql://a:b@c:1/d?x=1",
        ),
    ],
)
def test_replace_exchanges_the_named_parts(parts: dict[str, Any], expected: str) -> None:
    url = DatabaseURL("postgresql://u:p@localhost:5/db?x=1")

    assert str(url.replace(**parts)) == expected


def test_replace_returns_a_new_url_and_leaves_the_old_one() -> None:
    url = DatabaseURL("postgresql://localhost/db")

    other = url.replace(database="test_db")

    assert isinstance(other, DatabaseURL)
    assert str(url) == "postgresql://localhost/db"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [({"driver": None}, "postgresql://h/db"), ({"dialect": "mysql"}, "mysql+asyncpg://h/db")],
)
def test_replace_of_one_half_of_the_scheme_keeps_the_other(
    parts: dict[str, Any], expected: str
) -> None:
    assert str(DatabaseURL("postgresql+asyncpg://h/db").replace(**parts)) == expected


@pytest.mark.parametrize(
    "text",
    ["sqlite:///name", "sqlite:////absolute/path", "sqlite:///a/b.db?timeout=3", "sqlite://"],
)
def test_sqlite_url_survives_replace(text: str) -> None:
    url = DatabaseURL(text)

    assert str(url.replace()) == text
    assert str(url.replace(driver="aiosqlite")) == text.replace("sqlite:", "sqlite+aiosqlite:")


@pytest.mark.parametrize(
    ("database", "expected"), [("other", "sqlite:///other"), ("/tmp/x", "sqlite:////tmp/x")]
)
def test_database_of_a_sqlite_url_can_be_replaced(database: str, expected: str) -> None:
    assert str(DatabaseURL("sqlite:///name").replace(database=database)) == expected


def test_replace_of_an_unknown_part_is_refused() -> None:
    with pytest.raises((TypeError, ValueError), match="nonsense"):
        DatabaseURL("postgresql://h/db").replace(nonsense=1)


def test_repr_hides_the_password() -> None:
    expected = "DatabaseURL('postgresql+asyncpg://u%40x:********@localhost:123/mydb?a=1&b=x%20y')"

    assert repr(DatabaseURL(FULL)) == expected


def test_obscure_password_is_the_text_without_the_password() -> None:
    assert DatabaseURL("mysql://u:p@h/db").obscure_password == "mysql://u:********@h/db"
    assert DatabaseURL("mysql://u@h/db").obscure_password == "mysql://u@h/db"


@pytest.mark.parametrize("text", [FULL, "sqlite:///name", "mysql://h/db"])
def test_url_is_equal_to_its_text_and_to_another_url(text: str) -> None:
    url = DatabaseURL(text)

    assert str(url) == text
    assert url == text
    assert url == DatabaseURL(url)


@pytest.mark.parametrize("other", ["mysql://h/other", DatabaseURL("mysql://h/other"), 1, None])
def test_url_differs_from_other_things(other: object) -> None:
    assert DatabaseURL("mysql://h/db") != other


@pytest.mark.parametrize("value", [None, 1, b"sqlite://", object()])
@pytest.mark.parametrize("target", [DatabaseURL, Database])
def test_other_types_are_refused(target: Any, value: object) -> None:
    with pytest.raises(TypeError, match="DatabaseURL"):
        target(value)


@pytest.mark.parametrize(
    ("text", "drivername"),
    [
        ("sqlite:///name", "sqlite"),
        ("postgresql+psycopg2://u:p%40@h:5/db", "postgresql+psycopg2"),
    ],
)
def test_text_is_fit_for_sqlalchemy(text: str, drivername: str) -> None:
    parsed = sa.make_url(str(DatabaseURL(text)))

    assert parsed.drivername == drivername
    assert parsed.database == DatabaseURL(text).database
    assert parsed.password == DatabaseURL(text).password


def test_create_engine_accepts_the_text() -> None:
    engine = sa.create_engine(str(DatabaseURL("sqlite://")))

    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1

    engine.dispose()
