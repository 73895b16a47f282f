"""TLS words mean the same on every network driver, and never fall back silently."""

from __future__ import annotations

import pytest

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.checks import within
from tests.support.drivers import DriverCase, lacks, requires

pytestmark = requires("server")

ASKED_FOR = [
    "sslmode=require",
    "ssl=require",
    "sslmode=verify-ca",
    "sslmode=verify-full",
    "ssl=true",
]
UNVERIFIED = ["sslmode=require", "ssl=require"]
VERIFIED = ["sslmode=verify-ca", "sslmode=verify-full", "ssl=verify-full", "ssl=true"]
CLEAR_TEXT = ["sslmode=disable", "ssl=disable", "ssl=false"]
EITHER = ["sslmode=prefer", "sslmode=allow", "ssl=prefer"]


async def is_encrypted(database: Database, driver: DriverCase) -> bool:
    """Ask the server whether this connection is."""
    if driver.dialect == "postgresql":
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        return bool(await database.fetch_val(query))
    return bool(await database.fetch_val("SHOW SESSION STATUS LIKE 'Ssl_cipher'", column=1))


@pytest.mark.parametrize("words", [*CLEAR_TEXT, *EITHER])
async def test_words_that_allow_clear_text_connect(
    make_database: MakeDatabase, url: str, words: str
) -> None:
    async with make_database(f"{url}?{words}") as database:
        assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("words", CLEAR_TEXT)
async def test_clear_text_is_clear_text(
    make_database: MakeDatabase, url: str, driver: DriverCase, words: str
) -> None:
    async with make_database(f"{url}?{words}") as database:
        assert not await is_encrypted(database, driver)


@lacks("tls")
@pytest.mark.parametrize("words", ASKED_FOR)
async def test_tls_that_the_server_lacks_is_an_error(
    make_database: MakeDatabase, url: str, words: str
) -> None:
    database = make_database(f"{url}?{words}")

    with pytest.raises(Exception, match=r"(?i)ssl|tls|certificate"):
        await within(database.connect())

    assert not database.is_connected


@requires("tls")
@pytest.mark.parametrize("words", UNVERIFIED)
async def test_required_tls_encrypts(
    make_database: MakeDatabase, url: str, driver: DriverCase, words: str
) -> None:
    async with make_database(f"{url}?{words}") as database:
        assert await is_encrypted(database, driver)


@requires("tls")
@pytest.mark.parametrize("words", VERIFIED)
async def test_a_certificate_that_nobody_vouches_for_is_an_error(
    make_database: MakeDatabase, url: str, words: str
) -> None:
    database = make_database(f"{url}?{words}")

    with pytest.raises(Exception, match=r"(?i)certificate|ssl|root"):
        await within(database.connect())

    assert not database.is_connected


@pytest.mark.parametrize("words", ["sslmode=sometimes", "ssl=sometimes"])
async def test_an_unknown_word_is_an_error_that_names_it(
    make_database: MakeDatabase, url: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words.partition("=")[0]) as caught:
        await make_database(f"{url}?{words}").connect()

    assert "verify-full" in str(caught.value)


async def test_an_unknown_word_as_a_keyword_is_an_error(make_database: MakeDatabase) -> None:
    with pytest.raises(ValueError, match="sometimes"):
        await make_database(sslmode="sometimes").connect()


async def test_a_certificate_file_that_is_missing_is_an_error(
    make_database: MakeDatabase, url: str
) -> None:
    database = make_database(f"{url}?sslmode=verify-full&sslrootcert=/nowhere/root.pem")

    with pytest.raises(Exception, match=r"(?i)nowhere|no such file|ssl|certificate"):
        await within(database.connect())

    assert not database.is_connected


async def test_false_as_a_keyword_is_clear_text(
    make_database: MakeDatabase, driver: DriverCase
) -> None:
    async with make_database(ssl=False) as database:
        assert not await is_encrypted(database, driver)
