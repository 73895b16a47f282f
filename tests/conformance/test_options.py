"""Options in the URL and as keywords reach the driver, with their types."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from databases.errors import ConfigurationError
from tests.conftest import MakeDatabase
from tests.support.drivers import DriverCase, requires
from tests.support.outside import Outside
from tests.support.tables import notes

CHARSET = "SELECT @@character_set_client"
NAME = "SELECT current_setting('application_name')"


@requires("session_name")
async def test_the_session_name_in_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?application_name=my%20service") as database:
        assert await database.fetch_val(NAME) == "my service"


@requires("session_name")
async def test_the_session_name_as_a_keyword_wins(make_database: MakeDatabase, url: str) -> None:
    given = f"{url}?application_name=from+the+url"

    async with make_database(given, application_name="keyword") as database:
        assert await database.fetch_val(NAME) == "keyword"


@requires("charsets")
async def test_the_charset_in_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?charset=latin1") as database:
        assert await database.fetch_val(CHARSET) == "latin1"
        assert await database.fetch_val("SELECT :word", {"word": "naïve"}) == "naïve"


@requires("charsets")
async def test_every_character_works_without_asking(make_database: MakeDatabase) -> None:
    async with make_database() as database:
        assert await database.fetch_val(CHARSET) == "utf8mb4"


@requires("charsets")
async def test_an_initial_command(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?init_command=SET%20%40mine%20%3D%205") as database:
        assert await database.fetch_val("SELECT @mine") == 5


@requires("file")
async def test_the_lock_time_out_in_the_url(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?timeout=2.5") as database:
        assert await database.fetch_val("PRAGMA busy_timeout") == 2500


@requires("file")
async def test_the_lock_time_out_as_a_keyword_wins(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?timeout=2.5", timeout=1) as database:
        assert await database.fetch_val("PRAGMA busy_timeout") == 1000


@requires("file")
async def test_a_read_only_file(make_database: MakeDatabase, url: str, driver: DriverCase) -> None:
    path = url.partition("///")[2]

    async with make_database(f"sqlite:///file:{path}?mode=ro&uri=true") as database:
        assert await database.fetch_val("SELECT count(*) FROM codes") == 0
        with pytest.raises(driver.error, match="readonly"):
            await database.execute("INSERT INTO codes (code) VALUES ('a')")


@requires("server")
async def test_a_connect_time_out_is_a_number(make_database: MakeDatabase, url: str) -> None:
    async with make_database(f"{url}?connect_timeout=7") as database:
        assert await database.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("keyword", [True, False], ids=["keyword", "url"])
async def test_an_unknown_option_is_a_warning_that_names_it_and_the_nearest(
    make_database: MakeDatabase, url: str, keyword: bool
) -> None:
    options: dict[str, Any] = {"max_sise": 3} if keyword else {}
    given = url if keyword else f"{url}?max_sise=3"

    with pytest.warns(UserWarning, match=r"max_sise.*max_size") as caught:
        async with make_database(given, **options) as database:
            assert await database.fetch_val("SELECT 1") == 1

    assert len(caught) == 1


async def test_known_options_do_not_warn(make_database: MakeDatabase, url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with make_database(f"{url}?min_size=1", max_size=2, force_rollback=False) as database:
            assert await database.fetch_val("SELECT 1") == 1


async def test_options_are_kept_as_given(make_database: MakeDatabase, url: str) -> None:
    database = make_database(f"{url}?min_size=1", max_size=2)

    assert database.options == {"max_size": 2}
    assert database.url.options == {"min_size": "1"}


@requires("file")
@pytest.mark.parametrize("level", ["DEFERRED", "IMMEDIATE", "exclusive", ""])
@pytest.mark.parametrize("keyword", [True, False], ids=["keyword", "url"])
async def test_an_isolation_level_of_sqlite3_is_refused(
    make_database: MakeDatabase, url: str, level: str, *, keyword: bool
) -> None:
    """It would begin transactions that nobody commits."""
    options = {"isolation_level": level} if keyword else {}
    given = url if keyword else f"{url}?isolation_level={level or 'deferred'}"

    with pytest.raises(ConfigurationError, match=r"'isolation_level'.*transaction\(mode="):
        await make_database(given, **options).connect()


@requires("file")
async def test_the_isolation_level_that_means_none_may_be_given(
    make_database: MakeDatabase, url: str
) -> None:
    for given, options in ((url, {"isolation_level": None}), (f"{url}?isolation_level=none", {})):
        async with make_database(given, **options) as database:
            assert await database.fetch_val("SELECT 1") == 1


@requires("file")
@pytest.mark.parametrize("keyword", [True, False], ids=["keyword", "url"])
async def test_transactions_without_end_are_refused_in_the_newer_words_too(
    make_database: MakeDatabase, url: str, *, keyword: bool
) -> None:
    options: dict[str, Any] = {"autocommit": False} if keyword else {}

    with pytest.raises(ConfigurationError, match=r"'autocommit'.*transaction\(mode="):
        await make_database(url if keyword else f"{url}?autocommit=off", **options).connect()


@requires("charsets")
@pytest.mark.parametrize("in_url", [True, False])
async def test_autocommit_cannot_be_switched_off_on_mysql(
    make_database: MakeDatabase, url: str, *, in_url: bool
) -> None:
    """An INSERT outside a transaction would be acknowledged, and dropped."""
    if in_url:
        database = make_database(f"{url}?autocommit=false")
    else:
        database = make_database(autocommit=False)

    with pytest.raises(ConfigurationError, match="autocommit.*transaction"):
        await database.connect()


@requires("charsets")
@pytest.mark.parametrize("autocommit", [True, None])
@pytest.mark.parametrize("command", ["SET autocommit=0", None])
async def test_autocommit_is_on_whatever_was_given(
    make_database: MakeDatabase, outside: Outside, *, autocommit: bool | None, command: str | None
) -> None:
    database = make_database(autocommit=autocommit, init_command=command)
    await database.connect()

    await database.execute(notes.insert().values(text="kept"))

    assert outside.count(notes) == 1


@requires("server")
@pytest.mark.parametrize("name", ["ssl", "sslmode", "min_size", "password", "user", "nonsense"])
async def test_an_option_without_a_value_is_not_there(
    make_database: MakeDatabase, url: str, name: str
) -> None:
    """It comes of a variable of the environment that is empty."""
    separator = "&" if "?" in url else "?"

    async with make_database(f"{url}{separator}{name}=") as database:
        assert await database.fetch_val("SELECT 1") == 1
