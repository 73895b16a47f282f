from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from databases.backends.common.option_tables import (
    AIOMYSQL,
    AIOPG,
    AIOSQLITE,
    ASYNCMY,
    ASYNCPG,
    PSYCOPG,
)
from databases.backends.common.options import (
    OptionTable,
    PoolOptions,
    given_options,
    split_options,
    sqlite_filename,
)
from databases.errors import ConfigurationError
from databases.urls import DatabaseURL

TABLES = {table.driver: table for table in (ASYNCPG, PSYCOPG, AIOPG, AIOMYSQL, ASYNCMY, AIOSQLITE)}
EVERY = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def read(query: str, table: OptionTable, **keywords: Any) -> dict[str, Any]:
    return given_options(DatabaseURL(f"x://h/d?{query}"), keywords, table)


def split(query: str, table: OptionTable, **keywords: Any) -> tuple[PoolOptions, dict[str, Any]]:
    return split_options(read(query, table, **keywords), table)


@contextmanager
def refused(*words: str) -> Iterator[None]:
    with pytest.raises(ConfigurationError) as caught:
        yield
    for word in words:
        assert word in str(caught.value)


@EVERY
def test_nothing_given_is_nothing(table: OptionTable) -> None:
    assert read("", table) == {}
    assert split("", table)[1] == {}


@EVERY
@pytest.mark.parametrize(
    ("query", "keywords"),
    [
        ("min_size=1&max_size=20", {}),
        ("minsize=1&maxsize=20", {}),
        ("", {"min_size": 1, "max_size": 20}),
        ("", {"minsize": 1, "maxsize": 20}),
        ("", {"min_size": "1", "max_size": "20"}),
        ("min_size=7&max_size=8", {"minsize": 1, "maxsize": 20}),
    ],
)
def test_pool_sizes_come_under_the_driver_names(
    query: str, keywords: dict[str, Any], table: OptionTable
) -> None:
    least, most = table.pool_size_names

    given = read(query, table, **keywords)

    assert given == {least: 1, most: 20}
    pool, arguments = split_options(given, table)
    assert (pool.min_size, pool.max_size, arguments) == (1, 20, {})


def test_pool_size_names_are_those_programs_know() -> None:
    assert ASYNCPG.pool_size_names == ("min_size", "max_size")
    assert AIOPG.pool_size_names == AIOMYSQL.pool_size_names == ("minsize", "maxsize")


@pytest.mark.parametrize(
    ("query", "table", "expected"),
    [
        ("ssl=true", ASYNCPG, {"ssl": True}),
        ("ssl=False", ASYNCPG, {"ssl": False}),
        ("ssl=verify-full", ASYNCPG, {"ssl": "verify-full"}),
        ("ssl=true", AIOPG, {"ssl": True}),
        ("ssl=true&pool_recycle=20", AIOMYSQL, {"ssl": True, "pool_recycle": 20}),
        ("unix_socket=/tmp/s", ASYNCMY, {"unix_socket": "/tmp/s"}),
        ("command_timeout=5", ASYNCPG, {"command_timeout": 5}),
        ("statement_cache_size=0", ASYNCPG, {"statement_cache_size": 0}),
        ("direct_tls=yes", ASYNCPG, {"direct_tls": True}),
        ("host=/tmp&port=1", ASYNCPG, {}),
        ("password=p&user=u", PSYCOPG, {"password": "p", "user": "u"}),
        ("prepare_threshold=none", PSYCOPG, {"prepare_threshold": None}),
        ("connect_timeout=5", PSYCOPG, {"connect_timeout": 5}),
        ("charset=utf8mb4", AIOMYSQL, {"charset": "utf8mb4"}),
        ("timeout=5&uri=true", AIOSQLITE, {"timeout": 5.0, "uri": True}),
        ("isolation_level=none", AIOSQLITE, {"isolation_level": None}),
        ("autocommit=-1", AIOSQLITE, {"autocommit": -1}),
        ("autocommit=off", AIOSQLITE, {"autocommit": False}),
    ],
)
def test_options_of_the_url_come_with_their_type(
    query: str, table: OptionTable, expected: dict[str, Any]
) -> None:
    given = read(query, table)

    assert given == expected
    assert [type(value) for value in given.values() if isinstance(value, bool)] == [
        type(value) for value in expected.values() if isinstance(value, bool)
    ]


def test_keywords_win_and_stay_as_they_are() -> None:
    given = read("password=p&command_timeout=5", ASYNCPG, password=len, command_timeout="7")

    assert given == {"password": len, "command_timeout": "7"}


def test_a_keyword_for_tls_takes_all_of_the_url_word_away() -> None:
    assert read("sslmode=require&sslcert=/c", ASYNCPG, ssl=False) == {
        "ssl": False,
        "sslcert": "/c",
    }


def test_server_settings_are_gathered_on_asyncpg() -> None:
    query = "application_name=web&app.tenant=7&server_settings=%7B%22jit%22:%22off%22%7D"

    given = read(query, ASYNCPG, server_settings={"role": "r", "application_name": "mine"})

    assert given == {
        "server_settings": {
            "application_name": "mine",
            "app.tenant": "7",
            "jit": "off",
            "role": "r",
        }
    }


def test_server_setting_as_keyword_is_gathered_on_asyncpg() -> None:
    _, arguments = split("", ASYNCPG, application_name="web", statement_timeout=5)

    assert arguments == {"server_settings": {"application_name": "web", "statement_timeout": "5"}}


@pytest.mark.parametrize(
    ("table", "given", "expected"),
    [
        (ASYNCPG, {"connect_timeout": 5}, {"timeout": 5}),
        (ASYNCPG, {"connect_timeout": 5, "timeout": 6}, {"timeout": 6}),
        (PSYCOPG, {"database": "d"}, {"dbname": "d"}),
        (ASYNCMY, {"db": "d"}, {"database": "d"}),
        (AIOMYSQL, {"database": "d"}, {"db": "d"}),
        (AIOPG, {"timeout": 5, "anything": 1}, {"timeout": 5, "anything": 1}),
    ],
)
def test_driver_arguments_take_the_driver_names(
    table: OptionTable, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert split_options(given, table)[1] == expected


def test_unknown_option_of_the_url_is_a_warning_and_dropped() -> None:
    with pytest.warns(UserWarning, match="'comand_timeout'.*'command_timeout'") as caught:
        given = read("comand_timeout=5", ASYNCPG)

    assert given == {}
    assert caught[0].filename == __file__


def test_unknown_keyword_is_a_warning_and_passed_on() -> None:
    with pytest.warns(UserWarning, match="'zzz'"):
        given = read("", AIOMYSQL, zzz=5)

    assert split_options(given, AIOMYSQL)[1] == {"zzz": 5}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("min_size=abc", ["min_size", "abc", "whole number"]),
        ("min_size=1.5", ["min_size", "1.5"]),
        ("command_timeout=soon", ["command_timeout", "soon"]),
        ("command_timeout=-1", ["command_timeout", "-1"]),
        ("command_timeout=nan", ["command_timeout", "nan"]),
        ("direct_tls=maybe", ["direct_tls", "maybe", "true or false"]),
        ("server_settings=3", ["server_settings", "JSON"]),
        ("server_settings=x", ["server_settings", "JSON"]),
        ("init=print", ["init", "keyword"]),
        ("on_connect=print", ["on_connect", "keyword"]),
    ],
)
def test_bad_value_in_the_url_is_named(query: str, words: list[str]) -> None:
    with refused(*words):
        read(query, ASYNCPG)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"min_size": 5, "max_size": 2}, ["min_size=5", "max_size=2"]),
        ({"min_size": -1}, ["min_size", "-1"]),
        ({"min_size": True}, ["min_size", "True"]),
        ({"min_size": 1.5}, ["min_size", "1.5"]),
        ({"max_idle": -1}, ["max_idle", "-1"]),
        ({"max_idle": "x"}, ["max_idle", "x"]),
        ({"max_idle": float("nan")}, ["max_idle"]),
        ({"max_idle": []}, ["max_idle"]),
        ({"pre_ping": 1}, ["pre_ping"]),
        ({"reset": "sometimes"}, ["reset", "sometimes"]),
        ({"on_connect": 3}, ["on_connect", "function"]),
    ],
)
def test_bad_value_for_the_pool_is_named(given: dict[str, Any], words: list[str]) -> None:
    with refused(*words):
        split_options(given, ASYNCPG)


def test_pool_defaults() -> None:
    pool, _ = split_options({}, ASYNCPG)

    assert (pool.min_size, pool.max_size, pool.reset) == (1, 10, "auto")
    assert pool.acquire_timeout is pool.max_lifetime is None


def test_sqlite_pool_has_no_bound() -> None:
    assert split_options({}, AIOSQLITE)[0].max_size is None


@pytest.mark.parametrize(
    ("table", "given", "field", "value"),
    [
        (ASYNCPG, {"max_inactive_connection_lifetime": 30}, "max_idle", 30),
        (ASYNCPG, {"max_inactive_connection_lifetime": 0}, "max_idle", None),
        (ASYNCPG, {"max_idle": 5, "max_inactive_connection_lifetime": 30}, "max_idle", 5),
        (ASYNCPG, {"max_queries": 10}, "max_queries", 10),
        (ASYNCPG, {"init": print}, "init", print),
        (ASYNCPG, {"reset": print}, "reset", print),
        (ASYNCPG, {"reset": None}, "reset", "auto"),
        (ASYNCPG, {"min_size": 30}, "max_size", 30),
        (AIOPG, {"pool_recycle": "20"}, "max_lifetime", 20),
        (AIOMYSQL, {"pool_recycle": -1}, "max_lifetime", None),
        (AIOMYSQL, {"maxsize": 0}, "max_size", None),
        (AIOMYSQL, {"minsize": None}, "min_size", 1),
        (ASYNCMY, {"acquire_timeout": 0}, "acquire_timeout", 0),
        (ASYNCMY, {"acquire_timeout": float("inf")}, "acquire_timeout", None),
        (ASYNCMY, {"pre_ping": "false"}, "pre_ping", False),
        (AIOSQLITE, {"query_cache_size": 0}, "query_cache_size", 0),
    ],
)
def test_pool_options_and_their_synonyms(
    table: OptionTable, given: dict[str, Any], field: str, value: Any
) -> None:
    pool, arguments = split_options(given, table)

    assert getattr(pool, field) == value
    assert arguments == {}


@pytest.mark.parametrize(
    ("text", "keywords", "filename"),
    [
        ("sqlite://", {}, ":memory:"),
        ("sqlite:///:memory:", {}, ":memory:"),
        ("sqlite:///name.db?timeout=5", {}, "name.db"),
        ("sqlite:////abs/name.db", {}, "/abs/name.db"),
        ("sqlite:///file:p?mode=ro&uri=true&timeout=5", {}, "file:p?mode=ro"),
        ("sqlite:///file::memory:?cache=shared", {"uri": True}, "file::memory:?cache=shared"),
        ("sqlite:///file::memory:", {"uri": True}, "file::memory:"),
    ],
)
def test_sqlite_filename(text: str, keywords: dict[str, Any], filename: str) -> None:
    url = DatabaseURL(text)

    given = given_options(url, keywords, AIOSQLITE)

    assert sqlite_filename(url, given, AIOSQLITE) == filename


def test_sqlite_uri_option_without_uri_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="'mode'.*uri=true"):
        filename = sqlite_filename(DatabaseURL("sqlite:///a.db?mode=ro"), {}, AIOSQLITE)

    assert filename == "a.db"


def test_every_parameter_of_asyncpg_connect_is_in_its_table() -> None:
    asyncpg = pytest.importorskip("asyncpg")
    parameters = set(inspect.signature(asyncpg.connect).parameters) - {"host", "port"}

    assert parameters <= set(ASYNCPG.by_name)


@pytest.mark.parametrize(("name", "table"), [("aiomysql", AIOMYSQL), ("asyncmy", ASYNCMY)])
def test_every_parameter_of_mysql_drivers_is_in_their_table(name: str, table: OptionTable) -> None:
    driver = pytest.importorskip(name)
    parameters = set(inspect.signature(driver.connect).parameters) - {"host", "port"}

    assert parameters <= set(table.by_name)


def test_every_libpq_keyword_is_in_the_tables() -> None:
    psycopg = pytest.importorskip("psycopg")
    keywords = {each.keyword.decode() for each in psycopg.pq.Conninfo.get_defaults()}

    assert keywords <= set(PSYCOPG.by_name)
    assert keywords <= set(AIOPG.by_name)
