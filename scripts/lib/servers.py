"""The servers of a test run: found, or made, and stopped with the run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import compose
import mariadb
import packages
import postgres
from certificates import Certificates, make_certificates
from checkout import Failure, say, temporary_folder
from drivers import MYSQL, POSTGRESQL, SCHEMES, Target, ask_server, parse_urls
from private import PrivateServer

if TYPE_CHECKING:
    from typing_extensions import Self

Start = Callable[[Certificates], "tuple[PrivateServer, str]"]


class Servers:
    """Servers for the drivers of *wanted*; a context manager.

    Inside, ``targets`` has one entry per driver, ``further`` has drivers on a
    second server, and ``missing`` says why a driver has none.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self.targets: list[Target] = []
        self.further: list[Target] = []
        self.missing: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self._wanted = set(wanted)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._folder = Path(self._stack.enter_context(temporary_folder("tests")))
            urls = {"aiosqlite": f"{SCHEMES['aiosqlite']}:///{self._folder / 'test.db'}"}
            given = parse_urls(os.environ.get("TEST_DATABASE_URLS", ""))
            if given:
                say("using the servers of TEST_DATABASE_URLS")
                urls |= given
            elif not (compose.daemon_answers() and self._start_compose(urls)):
                self._start_private(urls)
            self._ask_all(urls)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_compose(self, urls: dict[str, str]) -> bool:
        if self._wanted <= {"aiosqlite"}:
            return True
        servers = compose.Compose()
        self._stack.callback(servers.stop)
        try:
            servers.start()
        except Failure as failure:
            say(str(failure))
            servers.stop()
            return False
        address = f"test:test@127.0.0.1:{servers.ports['POSTGRES_PORT']}/test"
        urls |= {driver: f"{SCHEMES[driver]}://{address}" for driver in POSTGRESQL}
        for driver in MYSQL:
            mysql, mariadb = (
                f"{SCHEMES[driver]}://root:test@127.0.0.1:{servers.ports[name]}/test"
                for name in ("MYSQL_PORT", "MARIADB_PORT")
            )
            urls[driver] = mysql
            if driver in self._wanted:
                self.further.append(Target(driver, mariadb, ask_server(driver, mariadb)))
        return True

    def _start_private(self, urls: dict[str, str]) -> None:
        wants_postgresql = not self._wanted.isdisjoint(POSTGRESQL)
        wants_mysql = not self._wanted.isdisjoint(MYSQL)
        self._install(wants_postgresql=wants_postgresql, wants_mysql=wants_mysql)

        certificates = make_certificates()
        authority = self._folder / "ca.crt"
        authority.write_bytes(certificates.authority)
        self.environment["TEST_TLS_CA"] = str(authority)
        if wants_postgresql:
            from_pypi = postgres.find_binaries() is None
            self._start(
                urls,
                POSTGRESQL,
                lambda certificates: postgres.start(certificates, from_pypi=from_pypi),
                certificates,
            )
        if wants_mysql:
            self._start(urls, MYSQL, mariadb.start, certificates)

    def _start(
        self,
        urls: dict[str, str],
        drivers: Collection[str],
        start: Start,
        certificates: Certificates,
    ) -> None:
        try:
            server, address = start(certificates)
        except Failure as failure:
            say(str(failure))
            self.missing |= dict.fromkeys(drivers, str(failure).splitlines()[0])
            return
        self._stack.callback(server.stop)
        urls |= {driver: f"{SCHEMES[driver]}://{address}" for driver in drivers}

    def _install(self, *, wants_postgresql: bool, wants_mysql: bool) -> None:
        names = []
        if wants_postgresql and postgres.find_binaries() is None:
            names.append("postgresql")
        if wants_mysql and mariadb.find_binary() is None:
            names.append("mariadb-server")
        if not names or not packages.can_install():
            return
        try:
            packages.install(names)
        except Failure as failure:
            # PostgreSQL can still come from PyPI; MariaDB will be missed by name.
            say(str(failure))

    def _ask_all(self, urls: dict[str, str]) -> None:
        for driver in SCHEMES:
            if driver not in self._wanted or driver in self.missing:
                continue
            if driver not in urls:
                self.missing[driver] = "TEST_DATABASE_URLS has no URL for it"
                continue
            try:
                server = ask_server(driver, urls[driver])
            except Exception as error:  # noqa: BLE001
                self.missing[driver] = f"its server does not answer: {str(error).splitlines()[0]}"
            else:
                self.targets.append(Target(driver, urls[driver], server))
