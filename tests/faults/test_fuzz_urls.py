"""Random database URLs: parse, replace and `str` go round without losing anything."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from databases import DatabaseURL
from databases.errors import ConfigurationError
from tests.faults.score import Score

pytestmark = pytest.mark.law

EXAMPLES = settings(max_examples=300, deadline=None, database=None)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SPECIAL = st.lists(
    st.sampled_from([":", "/", "@", "%", "?", "#", "[", "]", "&", "=", "+", " ", "%40", "a", "ä"]),
    max_size=8,
).map("".join)
SECRETS = st.one_of(WORDS, SPECIAL)
HOSTS = st.sampled_from(["localhost", "db.example.org", "10.0.0.1", "::1", "fe80::1", "a-b"])
PORTS = st.integers(1, 65535)
SCHEMES = st.sampled_from(
    ["postgresql", "postgresql+asyncpg", "mysql+aiomysql", "mysql+asyncmy", "sqlite"]
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "username": SECRETS.filter(bool),
        "password": SECRETS,
        "hostname": HOSTS,
        "port": PORTS,
        "database": SECRETS,
        "driver": st.sampled_from(["asyncpg", "psycopg", "aiopg"]),
        "dialect": st.sampled_from(["postgresql", "mysql"]),
    },
)


def made(scheme: str, parts: dict[str, Any]) -> DatabaseURL:
    start = DatabaseURL(f"{scheme}://user@localhost/name?option=1")
    return start.replace(**parts)


def read(url: DatabaseURL) -> dict[str, Any]:
    names = ("username", "password", "hostname", "port", "database", "driver", "dialect", "options")
    return {name: getattr(url, name) for name in names}


def test_what_is_replaced_comes_back_and_the_rest_stays(score: Score) -> None:
    @EXAMPLES
    @given(SCHEMES, PARTS, PARTS)
    def check(scheme: str, first: dict[str, Any], second: dict[str, Any]) -> None:
        score.tried("database URLs")
        url = made(scheme, first)
        before = read(url)

        changed = url.replace(**second)

        assert read(changed) == {**before, **second}
        assert changed.replace() == changed
        assert read(url) == before, "replace() changed the original"

    check()


def test_text_copies_and_pickles_are_equal(score: Score) -> None:
    @EXAMPLES
    @given(SCHEMES, PARTS)
    def check(scheme: str, parts: dict[str, Any]) -> None:
        score.tried("database URLs")
        url = made(scheme, parts)

        for other in (
            DatabaseURL(str(url)),
            DatabaseURL(url),
            copy.deepcopy(url),
            pickle.loads(pickle.dumps(url)),
        ):
            assert other == url
            assert hash(other) == hash(url)
            assert other == str(url)
            assert read(other) == read(url)

    check()


def test_sqlalchemy_reads_the_same(score: Score) -> None:
    @EXAMPLES
    @given(PARTS)
    def check(parts: dict[str, Any]) -> None:
        score.tried("database URLs")
        # SQLAlchemy does not decode the name of a database, and takes an @ in
        # it for the end of a password.
        parts["database"] = parts.get("database", "").replace("@", "")
        url = made("postgresql", parts)

        theirs = sa.make_url(str(url))

        assert (theirs.username, theirs.password) == (url.username, url.password)
        assert (theirs.host, theirs.port) == (url.hostname, url.port)
        assert DatabaseURL(theirs).password == url.password

    check()


def test_the_password_is_hidden_wherever_the_url_is_shown(score: Score) -> None:
    @EXAMPLES
    @given(SECRETS.filter(lambda text: len(text) > 4), SCHEMES)
    def check(password: str, scheme: str) -> None:
        score.tried("database URLs")
        url = made(scheme, {"password": password, "username": "u", "database": "d"})
        written = str(url).split("u:", 1)[1].split("@")[0]

        for shown in (repr(url), url.obscure_password):
            assert "********" in shown
            assert f":{password}@" not in shown
            assert f":{written}@" not in shown

    check()


def test_any_text_is_a_url_or_a_clear_error(score: Score) -> None:
    @EXAMPLES
    @given(st.one_of(WORDS, SPECIAL), SPECIAL, SPECIAL, WORDS)
    def check(scheme: str, netloc: str, path: str, query: str) -> None:
        score.tried("database URLs")
        text = f"{scheme}://{netloc}/{path}?{query}"
        try:
            url = DatabaseURL(text)
        except ConfigurationError:
            return
        assert str(url) == text
        assert DatabaseURL(str(url)) == url
        read(url)
        repr(url)

    check()
