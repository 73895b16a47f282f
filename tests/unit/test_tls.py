from __future__ import annotations

import ssl
from typing import Any

import pytest

from databases.backends.common.option_tables import AIOMYSQL, AIOPG, ASYNCMY, ASYNCPG, PSYCOPG
from databases.backends.common.options import OptionTable, given_options, split_options
from databases.backends.common.tls import TLSMode, ssl_context, tls_mode, tls_options
from databases.errors import ConfigurationError
from databases.urls import DatabaseURL

NETWORK = pytest.mark.parametrize("table", [ASYNCPG, PSYCOPG, AIOPG, AIOMYSQL, ASYNCMY])
MYSQLS = pytest.mark.parametrize("table", [AIOMYSQL, ASYNCMY], ids=["aiomysql", "asyncmy"])


def arguments_of(query: str, table: OptionTable, **keywords: Any) -> dict[str, Any]:
    given = given_options(DatabaseURL(f"x://h/d?{query}"), keywords, table)
    return split_options(given, table)[1]


def refused(*words: str) -> Any:
    """Expect a `ConfigurationError` whose message has all *words*, in this order."""
    return pytest.raises(ConfigurationError, match="(?s)" + ".*".join(words))


WORDS = [
    ({"ssl": "disable"}, TLSMode.DISABLE),
    ({"ssl": False}, TLSMode.DISABLE),
    ({"sslmode": "allow"}, TLSMode.ALLOW),
    ({"sslmode": "prefer"}, TLSMode.PREFER),
    ({"ssl_mode": "PREFERRED"}, TLSMode.PREFER),
    ({"sslmode": "require"}, TLSMode.REQUIRE),
    ({"ssl_mode": "REQUIRED"}, TLSMode.REQUIRE),
    ({"sslmode": "verify-ca"}, TLSMode.VERIFY_CA),
    ({"ssl_mode": "VERIFY_CA"}, TLSMode.VERIFY_CA),
    ({"sslmode": "verify-full"}, TLSMode.VERIFY_FULL),
    ({"ssl_mode": "VERIFY_IDENTITY"}, TLSMode.VERIFY_FULL),
    ({"ssl": True}, TLSMode.VERIFY_FULL),
    ({"ssl": "true"}, TLSMode.VERIFY_FULL),
    ({"ssl": True, "sslmode": "verify-full"}, TLSMode.VERIFY_FULL),
    ({"sslmode": "require", "sslrootcert": "/ca"}, TLSMode.VERIFY_CA),
    ({"ssl_ca": "/ca"}, TLSMode.VERIFY_CA),
    ({"ssl_ca": "/ca", "ssl_check_hostname": "true"}, TLSMode.VERIFY_FULL),
    ({"ssl_cert": "/c", "ssl_key": "/k"}, TLSMode.REQUIRE),
    ({"sslrootcert": "system"}, TLSMode.VERIFY_FULL),
    ({"ssl": {"ca": "/ca"}}, TLSMode.VERIFY_FULL),
    ({"ssl": {"ca": "/ca", "check_hostname": False}}, TLSMode.VERIFY_CA),
    ({"ssl": {"ca": "/ca", "verify_mode": "none"}}, TLSMode.REQUIRE),
    ({"ssl": {"cert": "/c"}}, TLSMode.REQUIRE),
    ({"ssl": {}}, None),
    ({"ssl": None}, None),
    ({}, None),
]


@pytest.mark.parametrize(("given", "mode"), WORDS)
def test_tls_mode(given: dict[str, Any], mode: TLSMode | None) -> None:
    assert tls_mode(given) is mode


@NETWORK
@pytest.mark.parametrize("name", ["ssl", "sslmode", "ssl_mode"])
def test_unknown_tls_word_is_an_error(name: str, table: OptionTable) -> None:
    with refused(name, "nonsense", "verify-full"):
        arguments_of(f"{name}=nonsense", table)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"ssl": 3}, "3"),
        ({"ssl": {"foo": 1}}, "foo"),
        ({"ssl": True, "sslmode": "disable"}, "contradict"),
    ],
)
def test_tls_that_makes_no_sense_is_an_error(given: dict[str, Any], word: str) -> None:
    with refused(word):
        tls_options(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ssl": True}, {"ssl": True}),
        ({"ssl": False}, {"ssl": False}),
        ({"sslmode": "disable"}, {"ssl": False}),
        ({"sslmode": "prefer"}, {"ssl": "prefer"}),
        ({"ssl": "verify-full"}, {"ssl": "verify-full"}),
        ({"sslrootcert": "system"}, {"ssl": True}),
        ({"ssl": None}, {}),
    ],
)
def test_tls_for_asyncpg(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert split_options(given, ASYNCPG)[1] == expected


def test_certificate_files_reach_asyncpg_in_a_dsn() -> None:
    arguments = arguments_of("sslmode=verify-full&sslrootcert=/ca%20x&sslkey=/k", ASYNCPG)

    assert arguments == {"dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fca+x&sslkey=%2Fk"}


def test_certificate_files_beside_a_dsn_are_refused() -> None:
    with refused("sslrootcert", "dsn"):
        arguments_of("sslmode=verify-full&sslrootcert=/ca", ASYNCPG, dsn="postgresql://h")


@pytest.mark.parametrize("table", [PSYCOPG, AIOPG], ids=["psycopg", "aiopg"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ssl": False}, {"sslmode": "disable"}),
        ({"ssl": "require"}, {"sslmode": "require"}),
        (
            {"ssl": {"ca": "/ca", "cert": "/c", "key": "/k"}},
            {
                "sslmode": "verify-full",
                "sslrootcert": "/ca",
                "sslcert": "/c",
                "sslkey": "/k",
            },
        ),
        (
            {"sslmode": "require", "sslnegotiation": "direct"},
            {"sslmode": "require", "sslnegotiation": "direct"},
        ),
    ],
)
def test_tls_for_libpq(given: dict[str, Any], expected: dict[str, Any], table: OptionTable) -> None:
    assert split_options(given, table)[1] == expected


@pytest.mark.parametrize("table", [PSYCOPG, AIOPG], ids=["psycopg", "aiopg"])
def test_ssl_true_verifies_against_the_system_on_libpq(table: OptionTable) -> None:
    arguments = arguments_of("ssl=true", table)

    assert arguments["sslmode"] == "verify-full"
    assert arguments["sslrootcert"]


def test_ssl_context_is_refused_where_libpq_makes_its_own() -> None:
    with refused("SSLContext", "sslrootcert"):
        split_options({"ssl": ssl.create_default_context()}, PSYCOPG)


@pytest.mark.parametrize("table", [ASYNCPG, AIOMYSQL, ASYNCMY])
def test_ssl_context_is_passed_as_it_is(table: OptionTable) -> None:
    context = ssl.create_default_context()

    assert split_options({"ssl": context}, table)[1] == {"ssl": context}
    assert tls_mode({"ssl": context}) is TLSMode.VERIFY_FULL


def test_option_that_means_nothing_to_libpq_is_refused() -> None:
    with refused("ssl_cipher"):
        split_options({"ssl_cipher": "x", "sslmode": "require"}, PSYCOPG)


@MYSQLS
@pytest.mark.parametrize(
    ("given", "verifies", "checks_name"),
    [
        ({"ssl": True}, ssl.CERT_REQUIRED, True),
        ({"sslmode": "verify-full"}, ssl.CERT_REQUIRED, True),
        ({"sslmode": "verify-ca"}, ssl.CERT_REQUIRED, False),
        ({"sslmode": "require"}, ssl.CERT_NONE, False),
        ({"sslmode": "prefer"}, ssl.CERT_NONE, False),
    ],
)
def test_tls_for_mysql_is_a_context(
    given: dict[str, Any], verifies: ssl.VerifyMode, checks_name: bool, table: OptionTable
) -> None:
    _, arguments = split_options(given, table)

    assert arguments["ssl"].verify_mode is verifies
    assert arguments["ssl"].check_hostname is checks_name


@MYSQLS
def test_tls_disabled_on_mysql_is_none(table: OptionTable) -> None:
    assert arguments_of("ssl=false", table) == {"ssl": None}


def test_missing_certificate_file_is_named() -> None:
    with refused("/no/such/ca.pem"):
        ssl_context(tls_options({"ssl_ca": "/no/such/ca.pem"}))


def test_protocol_versions_are_read() -> None:
    given = {"sslmode": "require", "ssl_min_protocol_version": "TLSv1.3"}

    context = ssl_context(tls_options(given))

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    with refused("TLSv9"):
        ssl_context(tls_options({"sslmode": "require", "ssl_max_protocol_version": "TLSv9"}))


@pytest.mark.parametrize("name", ["ssl_cert", "ssl_crl"])
def test_other_missing_files_are_named(name: str) -> None:
    with refused("/no/such/file"):
        ssl_context(tls_options({"sslmode": "verify-ca", name: "/no/such/file"}))


def test_ciphers_are_set() -> None:
    given = {"sslmode": "require", "ssl_cipher": "ECDHE-RSA-AES256-GCM-SHA384"}

    context = ssl_context(tls_options(given))

    assert context is not None
    assert "ECDHE-RSA-AES256-GCM-SHA384" in {each["name"] for each in context.get_ciphers()}


def test_repr_of_tls_options_hides_the_password() -> None:
    assert "secret" not in repr(tls_options({"sslpassword": "secret"}))
