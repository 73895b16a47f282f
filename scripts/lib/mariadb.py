"""A private MariaDB or MySQL server from the binaries on this machine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from certificates import Certificates
from checkout import Failure
from private import Place, PrivateServer, free_port, make_place

USER = PASSWORD = DATABASE = "test"
_ACCOUNTS = f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;
"""


def find_binary() -> Path | None:
    """Name ``mariadbd`` or ``mysqld``."""
    # /usr/sbin is not on the PATH of every user.
    path = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/sbin", "/usr/libexec", "/usr/local/sbin"]
    )
    for name in ("mariadbd", "mysqld"):
        if found := shutil.which(name, path=path):
            return Path(found)
    return None


def start(certificates: Certificates) -> tuple[PrivateServer, str]:
    """Start a server; give it and what follows the scheme in its URL."""
    binary = find_binary()
    if binary is None:
        raise Failure("cannot start MariaDB: there is no mariadbd or mysqld here")
    place = make_place("mariadb")
    try:
        return _start(place, binary, certificates)
    except BaseException:
        place.remove()
        raise


def _start(place: Place, binary: Path, certificates: Certificates) -> tuple[PrivateServer, str]:
    port = free_port()
    data = place.folder / "data"
    _make_tables(place, binary, data)
    server = PrivateServer(
        place,
        [
            *(binary, "--no-defaults", f"--datadir={data}", "--bind-address=127.0.0.1"),
            *(f"--port={port}", f"--socket={place.folder / 'socket'}"),
            *(f"--pid-file={place.folder / 'pid'}", "--skip-name-resolve"),
            # A server that starts clears its folder for temporary tables: it
            # must not be the one of another server.
            f"--tmpdir={place.folder}",
            f"--init-file={place.write('accounts.sql', _ACCOUNTS)}",
            *("--max-connections=300", "--character-set-server=utf8mb4"),
            *("--max-allowed-packet=64M", "--skip-log-bin", "--local-infile=1"),
            # Nothing here must survive a power cut.
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"),
            # Values of 16 MiB must fit into a tenth of the log.
            *("--loose-innodb-log-file-size=256M", "--loose-mysqlx=0"),
            f"--ssl-ca={place.write('ca.crt', certificates.authority)}",
            f"--ssl-cert={place.write('server.crt', certificates.certificate)}",
            f"--ssl-key={place.write('server.key', certificates.key)}",
        ],
        signal.SIGTERM,
    )
    server.wait_until(lambda: _connect(port), "MariaDB")
    return server, f"{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"


def _make_tables(place: Place, binary: Path, data: Path) -> None:
    command: list[str | Path]
    maker = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
    if maker and "MariaDB" in place.run([binary, "--version"], cannot="cannot ask for the version"):
        command = [
            *(maker, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        ]
    else:
        command = [binary, "--no-defaults", "--initialize-insecure", f"--datadir={data}"]
    place.run(command, cannot="cannot make a MariaDB database")


def _connect(port: int) -> None:
    import pymysql

    pymysql.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=PASSWORD,
        database=DATABASE,
        connect_timeout=5,
    ).close()
