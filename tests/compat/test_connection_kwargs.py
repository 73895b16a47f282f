"""``_get_connection_kwargs()`` and ``_options``: what a backend will connect with."""

from __future__ import annotations

from typing import Any

import pytest

from databases import Database

SERVERS = ["postgresql", "postgresql+psycopg", "postgresql+aiopg", "mysql", "mysql+asyncmy"]
POSTGRESQL = [scheme for scheme in SERVERS if scheme.startswith("postgresql")]
MYSQL = [scheme for scheme in SERVERS if scheme.startswith("mysql")]


def _kwargs(scheme: str, query: str = "", **options: Any) -> dict[str, Any]:
    backend: Any = Database(f"{scheme}://user:secret@host/name{query}", **options)._backend
    kwargs = backend._get_connection_kwargs()
    assert isinstance(kwargs, dict)
    return kwargs


def _sizes(scheme: str, smallest: int, largest: int) -> dict[str, int]:
    """Name the sizes as the driver's own pool does."""
    if scheme == "postgresql":
        return {"min_size": smallest, "max_size": largest}
    return {"minsize": smallest, "maxsize": largest}


@pytest.mark.parametrize("scheme", SERVERS)
def test_nothing_given_is_an_empty_dict(scheme: str) -> None:
    assert _kwargs(scheme) == {}


@pytest.mark.parametrize("scheme", SERVERS)
def test_sizes_in_the_url_become_integers(scheme: str) -> None:
    assert _kwargs(scheme, "?min_size=1&max_size=20") == _sizes(scheme, 1, 20)


@pytest.mark.parametrize("scheme", SERVERS)
def test_sizes_given_as_keywords_arrive(scheme: str) -> None:
    assert _kwargs(scheme, min_size=1, max_size=20) == _sizes(scheme, 1, 20)


@pytest.mark.parametrize("scheme", SERVERS)
def test_keyword_wins_over_the_url(scheme: str) -> None:
    kwargs = _kwargs(scheme, "?min_size=1&max_size=9", min_size=3)

    assert kwargs == _sizes(scheme, 3, 9)


@pytest.mark.parametrize("scheme", SERVERS)
@pytest.mark.parametrize(("word", "expected"), [("true", True), ("false", False)])
def test_ssl_in_the_url_becomes_a_bool(scheme: str, word: str, expected: bool) -> None:
    assert _kwargs(scheme, f"?ssl={word}") == {"ssl": expected}


@pytest.mark.parametrize("word", ["verify-full", "verify-ca", "require", "prefer"])
def test_other_ssl_word_in_the_url_stays_on_asyncpg(word: str) -> None:
    assert _kwargs("postgresql", f"?ssl={word}") == {"ssl": word}


@pytest.mark.parametrize("scheme", SERVERS)
def test_ssl_keyword_is_unchanged(scheme: str) -> None:
    assert _kwargs(scheme, ssl=True) == {"ssl": True}


@pytest.mark.parametrize("scheme", MYSQL)
def test_pool_recycle_in_the_url_becomes_an_integer(scheme: str) -> None:
    assert _kwargs(scheme, "?pool_recycle=20") == {"pool_recycle": 20}


@pytest.mark.parametrize("scheme", MYSQL)
def test_unix_socket_in_the_url_arrives(scheme: str) -> None:
    assert _kwargs(scheme, "?unix_socket=/run/x.sock") == {"unix_socket": "/run/x.sock"}


@pytest.mark.parametrize("scheme", SERVERS)
def test_callable_password_stays_the_callable(scheme: str) -> None:
    def password() -> str:
        return "secret"

    kwargs = _kwargs(scheme, password=password)

    assert kwargs == {"password": password}


def test_asyncpg_keywords_are_unchanged() -> None:
    async def init(connection: Any) -> None:
        """Do nothing."""

    kwargs = _kwargs("postgresql", init=init, command_timeout=5, server_settings={"jit": "off"})

    assert kwargs == {"init": init, "command_timeout": 5, "server_settings": {"jit": "off"}}


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("postgresql+aiopg", {"timeout": 5.0, "echo": True}),
        ("postgresql+psycopg", {"application_name": "app"}),
        ("mysql", {"charset": "utf8mb4", "autocommit": True}),
        ("mysql+asyncmy", {"charset": "utf8mb4", "connect_timeout": 3}),
    ],
)
def test_other_keywords_are_unchanged(scheme: str, options: dict[str, Any]) -> None:
    assert _kwargs(scheme, **options) == options


@pytest.mark.parametrize("scheme", SERVERS)
def test_kwargs_follow_options_that_were_changed(scheme: str) -> None:
    backend: Any = Database(f"{scheme}://host/name")._backend

    backend._options["max_size"] = 7

    assert list(backend._get_connection_kwargs().values()) == [7]


@pytest.mark.parametrize("scheme", SERVERS)
def test_kwargs_follow_options_that_were_replaced(scheme: str) -> None:
    backend: Any = Database(f"{scheme}://host/name", min_size=2)._backend

    backend._options = {"max_size": 7}

    assert list(backend._get_connection_kwargs().values()) == [7]


@pytest.mark.parametrize("scheme", [*SERVERS, "sqlite"])
def test_backend_keeps_the_url_and_the_options(scheme: str) -> None:
    database = Database(f"{scheme}://host/name", min_size=2)
    backend: Any = database._backend

    assert backend._database_url == database.url
    assert dict(backend._options) == {"min_size": 2}
    assert database.options == {"min_size": 2}


def test_options_of_the_database_are_the_keywords() -> None:
    database = Database("postgresql://host/name?max_size=3", min_size=1)

    assert database.options == {"min_size": 1}


@pytest.mark.parametrize("scheme", SERVERS)
def test_backend_has_no_pool_before_connect(scheme: str) -> None:
    backend: Any = Database(f"{scheme}://host/name")._backend

    assert backend._pool is None


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ("sqlite", "sqlite"),
        *((s, "postgresql") for s in POSTGRESQL),
        *((s, "mysql") for s in MYSQL),
    ],
)
def test_backend_has_a_dialect_before_connect(scheme: str, name: str) -> None:
    backend: Any = Database(f"{scheme}://host/name")._backend

    assert backend._dialect.name == name
