"""The servers of `docker-compose.yml`, on free ports, for the time of one run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

from checkout import ROOT, Failure, run_quietly, say
from private import free_port


def daemon_answers() -> bool:
    """Say whether there are `docker compose` and a daemon behind it."""
    return shutil.which("docker") is not None and all(
        _succeeds("docker", *words) for words in (["compose", "version"], ["info"])
    )


class Compose:
    """A compose project of our own, so that several runs do not meet."""

    def __init__(self) -> None:
        self.ports = {name: free_port() for name in ("POSTGRES_PORT", "MYSQL_PORT", "MARIADB_PORT")}
        self._environment = {name: str(port) for name, port in self.ports.items()}
        self._command = [
            *("docker", "compose", "--project-name", f"databases-tests-{os.getpid()}"),
            *("--file", str(ROOT / "docker-compose.yml")),
        ]

    def start(self) -> None:
        """Start the servers, and return when they are healthy."""
        say("starting the servers with docker compose (the first time fetches their images)")
        run_quietly(
            [*self._command, "up", "--detach", "--wait", "--quiet-pull"],
            cannot="cannot start the servers with docker compose",
            environment=self._environment,
            limit=420,
        )

    def stop(self) -> None:
        """Stop and remove them."""
        with contextlib.suppress(Failure):
            run_quietly(
                [*self._command, "down", "--volumes", "--timeout", "1"],
                cannot="cannot stop the servers",
                environment=self._environment,
                limit=60,
            )


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(
            command,
            check=False,
            timeout=20,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
