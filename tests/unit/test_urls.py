from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from databases.errors import ConfigurationError
from databases.urls import DatabaseURL

FULL = "postgresql+asyncpg://user:pa%40ss@Localhost:5432/my%20db?a=1&a=2&b="


def test_parts_of_a_full_url() -> None:
    url = DatabaseURL(FULL)

    assert url.scheme == "postgresql+asyncpg"
    assert (url.dialect, url.driver) == ("postgresql", "asyncpg")
    assert (url.username, url.password) == ("user", "pa@ss")
    assert url.userinfo == b"user:pa%40ss"
    assert (url.hostname, url.port) == ("localhost", 5432)
    assert url.netloc == "user:pa%40ss@Localhost:5432"
    assert url.database == "my db"
    assert url.options == {"a": "2"}
    assert url.components.path == "/my%20db"
    assert url.components.query == "a=1&a=2&b="
    assert str(url) == FULL


def test_parts_that_are_not_there() -> None:
    url = DatabaseURL("sqlite://")

    assert (url.driver, url.database, url.netloc, url.options) == ("", "", "", {})
    missing = [url.username, url.password, url.userinfo, url.hostname, url.port]
    assert missing == [None] * 5
    assert url.hosts == []


@pytest.mark.parametrize(
    ("text", "username", "password", "userinfo"),
    [
        ("mysql://u@h/d", "u", None, b"u"),
        ("mysql://u:@h/d", "u", "", b"u"),
        ("mysql://:p@h/d", "", "p", None),
        ("mysql://u:p:q@h/d", "u", "p:q", b"u:p:q"),
        ("mysql://u:p@q@h/d", "u", "p@q", b"u:p@q"),
        ("mysql://a+b:c+d@h/d", "a+b", "c+d", b"a+b:c+d"),
    ],
)
def test_credentials(
    text: str, username: str | None, password: str | None, userinfo: bytes | None
) -> None:
    url = DatabaseURL(text)

    assert (url.username, url.password, url.userinfo) == (username, password, userinfo)
    assert url.hostname == "h"


@pytest.mark.parametrize(
    ("text", "database"),
    [
        ("sqlite:///name", "name"),
        ("sqlite:////absolute/path", "/absolute/path"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "file::memory:"),
        ("sqlite:///C:\\dir\\file.db", "C:\\dir\\file.db"),
        ("sqlite:///C:/dir/file.db", "C:/dir/file.db"),
        ("sqlite://", ""),
        ("postgresql://h", ""),
        ("postgresql://h/", ""),
        ("postgresql://h/a/b", "a/b"),
    ],
)
def test_database_survives_replace(text: str, database: str) -> None:
    url = DatabaseURL(text)

    assert url.database == database
    assert url.replace(driver="x").replace(driver=None) == text
    assert str(url.replace(driver="x")) == text.replace("://", "+x://")
    assert url.replace(database="/new").database == "/new"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://u:p@h1:1,h2:2/db?target_session_attrs=any", [("h1", 1), ("h2", 2)]),
        ("postgresql://h1,h2:2/db", [("h1", None), ("h2", 2)]),
        ("postgresql://[::1]:5432/db", [("::1", 5432)]),
        ("postgresql://[::1]/db", [("::1", None)]),
        ("postgresql://h1:1,[::1]:2/db", [("h1", 1), ("::1", 2)]),
        ("postgresql:///db?host=/tmp", [("/tmp", None)]),
        ("postgresql:///db?host=/tmp&port=5433", [("/tmp", 5433)]),
        ("postgresql://:5433/db?host=/tmp", [("/tmp", 5433)]),
        ("postgresql:///db?host=h1,h2&port=1,2", [("h1", 1), ("h2", 2)]),
        ("postgresql:///db?host=h1,h2&port=1", [("h1", 1), ("h2", 1)]),
        ("postgresql:///db?host=h1:1,[::1]:2,::2", [("h1", 1), ("::1", 2), ("::2", None)]),
        ("postgresql://%2Ftmp%2FPG/db", [("/tmp/PG", None)]),
        ("mysql://u@/db?unix_sock=/s", [("/s", None)]),
        ("mysql://h:/db", [("h", None)]),
        ("mysql://:3306/db", []),
        ("mysql:///db?port=3306", []),
    ],
)
def test_hosts(text: str, hosts: list[tuple[str, int | None]]) -> None:
    url = DatabaseURL(text)

    assert url.hosts == hosts
    assert url.hostname == (hosts[0][0] if hosts else None)


@pytest.mark.parametrize("text", ["mysql://:3306/db", "mysql:///db?port=3306"])
def test_port_without_a_host(text: str) -> None:
    assert DatabaseURL(text).port == 3306


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"database": "new"}, "pg://u:p%40@h:1/new?a=1"),
        ({"database": None}, "pg://u:p%40@h:1?a=1"),
        ({"database": "a?b#c%d e"}, "pg://u:p%40@h:1/a%3Fb%23c%25d e?a=1"),
        ({"driver": "x"}, "pg+x://u:p%40@h:1/db?a=1"),
        ({"driver": None}, "pg://u:p%40@h:1/db?a=1"),
        ({"dialect": "y", "driver": "x"}, "y+x://u:p%40@h:1/db?a=1"),
        ({"hostname": "h2"}, "pg://u:p%40@h2:1/db?a=1"),
        ({"hostname": "::1"}, "pg://u:p%40@[::1]:1/db?a=1"),
        ({"hostname": "[::1]"}, "pg://u:p%40@[::1]:1/db?a=1"),
        ({"hostname": "/tmp"}, "pg://u:p%40@%2Ftmp:1/db?a=1"),
        ({"hostname": "a,b", "port": None}, "pg://u:p%40@a,b/db?a=1"),
        ({"hostname": None, "port": None}, "pg://u:p%40@/db?a=1"),
        ({"port": 9}, "pg://u:p%40@h:9/db?a=1"),
        ({"port": None}, "pg://u:p%40@h/db?a=1"),
        ({"username": "a@b"}, "pg://a%40b:p%40@h:1/db?a=1"),
        ({"username": None}, "pg://h:1/db?a=1"),
        ({"password": "p:/@%?#"}, "pg://u:p%3A%2F%40%25%3F%23@h:1/db?a=1"),
        ({"password": None}, "pg://u@h:1/db?a=1"),
        ({"netloc": "n"}, "pg://n/db?a=1"),
        ({"netloc": "n", "port": 3}, "pg://n:3/db?a=1"),
        ({"query": "b=2"}, "pg://u:p%40@h:1/db?b=2"),
        ({"query": ""}, "pg://u:p%40@h:1/db"),
        ({"path": "/x"}, "pg://u:p%40@h:1/x?a=1"),
        ({"scheme": "z"}, "z://u:p%40@h:1/db?a=1"),
        ({"fragment": "f"}, "pg://u:p%40@h:1/db?a=1#f"),
        ({}, "pg://u:p%40@h:1/db?a=1"),
    ],
)
def test_replace(parts: dict[str, Any], expected: str) -> None:
    assert str(DatabaseURL("pg://u:p%40@h:1/db?a=1").replace(**parts)) == expected


def test_replace_port_of_several_hosts() -> None:
    url = DatabaseURL("postgresql://h1:1,h2:2/db").replace(port=3)

    assert url.hosts == [("h1", 3), ("h2", 3)]


def test_replace_keeps_several_hosts() -> None:
    url = DatabaseURL("postgresql://u:p@h1:1,[::1]:2/db").replace(password="q", database="e")

    assert str(url) == "postgresql://u:q@h1:1,[::1]:2/e"


def test_replace_refuses_unknown_parts() -> None:
    with pytest.raises(ValueError, match="'foo'"):
        DatabaseURL(FULL).replace(foo=1)


def test_replace_refuses_a_bad_port() -> None:
    with pytest.raises(ConfigurationError, match="'abc'"):
        DatabaseURL(FULL).replace(port="abc")


def test_replace_keeps_the_class() -> None:
    class MyURL(DatabaseURL):
        pass

    assert type(MyURL(FULL).replace(port=1)) is MyURL
    assert repr(MyURL("sqlite://")) == "MyURL('sqlite://')"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://u:secret@h:1/d", "mysql://u:********@h:1/d"),
        ("mysql://:secret@h/d", "mysql://:********@h/d"),
        ("mysql://u:se@cret@h/d", "mysql://u:********@h/d"),
        ("mysql://u:@h/d", "mysql://u:@h/d"),
        ("mysql://u@h/d", "mysql://u@h/d"),
        ("mysql://h/d?password=secret&a=1", "mysql://h/d?password=********&a=1"),
        ("mysql://h/d?pass%77ord=secret", "mysql://h/d?pass%77ord=********"),
        ("mysql://h/d?sslpassword=secret", "mysql://h/d?sslpassword=********"),
        ("pg://u:secret@h1:1,h2:2/d", "pg://u:********@h1:1,h2:2/d"),
        ("sqlite:////a/b.db?mode=ro", "sqlite:////a/b.db?mode=ro"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    url = DatabaseURL(text)

    assert url.obscure_password == shown
    assert repr(url) == f"DatabaseURL({shown!r})"
    assert str(url) == text


def test_equality_and_hash_agree() -> None:
    url = DatabaseURL(FULL)

    assert url == FULL
    assert url == DatabaseURL(FULL)
    assert url == DatabaseURL(url)
    assert hash(url) == hash(FULL) == hash(DatabaseURL(FULL))
    assert len({FULL, url}) == 1
    assert url != "sqlite://"
    assert url != 3


def test_copies_are_equal() -> None:
    url = DatabaseURL(FULL)

    assert copy.deepcopy(url) == url
    assert pickle.loads(pickle.dumps(url)) == url


@pytest.mark.parametrize("value", [3, None, b"sqlite://"])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="Expected str or DatabaseURL"):
        DatabaseURL(value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("postgresql://u:secret@h:abc/db", "'abc'"),
        ("postgresql://u:secret@h:99999/db", "'99999'"),
        ("postgresql://u:secret@h:-1/db", "'-1'"),
        ("postgresql://u:secret@h:\u0663/db", "port"),
        ("postgresql://h1:1,h2:x/db", "'x'"),
        ("postgresql:///db?host=h&port=x", "'x'"),
        ("postgresql://u:secret@[::1/db", "bracket"),
        ("postgresql://u:sec/ret@h:1/db", "port"),
        ("postgresql://u:sec#ret@h:1/db", "%23"),
        ("postgresql://u:sec?ret@h:1/db", "port"),
        ("//u:secret@h/db", "no scheme"),
        ("secret", "no scheme"),
    ],
)
def test_malformed_url_is_named_without_its_password(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DatabaseURL(text)

    assert named in str(caught.value)
    shown = "".join(traceback.format_exception_only(type(caught.value), caught.value))
    assert "sec" not in shown
    assert caught.value.__cause__ is None


def test_empty_text_is_a_url_with_nothing_in_it() -> None:
    assert DatabaseURL("").dialect == ""


def test_line_end_of_an_environment_file_is_no_part() -> None:
    assert DatabaseURL("postgresql://h/db\n").database == "db"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+asyncpg://u:p%40%2F@h:1/db?a=1",
        "sqlite:////a/b.db",
        "sqlite:///name",
        "sqlite://",
        "postgresql://[::1]:5432/db",
    ],
)
def test_sqlalchemy_url_is_accepted(text: str) -> None:
    url = DatabaseURL(sqlalchemy.make_url(text))

    assert url == text
    assert url.password == sqlalchemy.make_url(text).password
    assert sqlalchemy.make_url(str(url)) == sqlalchemy.make_url(text)


def test_sqlalchemy_url_with_an_odd_database_is_read_as_it_is() -> None:
    url = DatabaseURL(sqlalchemy.URL.create("mysql", host="h", database="a?b"))

    assert url.database == "a?b"


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
START = st.sampled_from(
    ["postgresql://u:p@h:1/db?a=1", "mysql+aiomysql:///", "pg://h1:1,[::1]:2", "pg:///?host=/tmp"]
)


@given(START, anything, anything, anything)
def test_what_replace_takes_the_parts_give_back(
    start: str, username: str, password: str, database: str
) -> None:
    old = DatabaseURL(start)

    url = old.replace(username=username, password=password, database=database)

    assert (url.username, url.password, url.database) == (username, password, database)
    assert (url.hosts, url.options, url.scheme) == (old.hosts, old.options, old.scheme)
    assert DatabaseURL(str(url)) == url
    assert url.replace() == url


@given(anything, anything)
def test_sqlalchemy_reads_the_same_user_and_password(username: str, password: str) -> None:
    url = DatabaseURL("postgresql://h/d").replace(username="u" + username, password=password)

    made = sqlalchemy.make_url(str(url))

    assert (made.username, made.password) == ("u" + username, password)


@given(anything)
def test_any_text_is_a_url_or_a_clear_error(text: str) -> None:
    try:
        url = DatabaseURL("postgresql://" + text)
    except ConfigurationError:
        return

    assert str(url) == "postgresql://" + text
    repr(url)
    assert isinstance(url.options, dict)
    assert url.port is None or 0 <= url.port <= 65535


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("a=", {}),
        ("a", {}),
        ("a=&b=1", {"b": "1"}),
        ("a=1&a=", {"a": "1"}),
        ("host=&port=&unix_sock=", {}),
        ("a=%20", {"a": " "}),
    ],
)
def test_an_option_without_a_value_is_none(query: str, options: dict[str, str]) -> None:
    """It comes of a variable of the environment that is empty."""
    url = DatabaseURL(f"postgresql://user@server:5/name?{query}")

    assert url.options == options
    assert (url.hostname, url.port, url.username) == ("server", 5, "user")
    assert str(url) == f"postgresql://user@server:5/name?{query}"
    assert str(url.replace(port=6)) == f"postgresql://user@server:6/name?{query}"
