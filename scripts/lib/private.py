"""One private server: an unprivileged user, a free port, a folder of its own, a sure end."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import guard
from checkout import SCRIPTS, Failure, memory

START_LIMIT = 90.0
"""Longest time a server may take until it answers, in seconds."""


@dataclass(frozen=True)
class Place:
    """A folder that belongs to the user who runs a server in it."""

    folder: Path
    user: str | None
    """None: whoever runs this."""

    def give(self, path: Path, mode: int) -> Path:
        """Hand *path* to the user of the server."""
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        path.chmod(mode)
        return path

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        """Write a file that the user of the server can read."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.give(path, mode)

    def run(self, command: Sequence[str | Path], *, cannot: str) -> str:
        """Run *command* as the user of the server, and give what it printed."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=180,
            check=False,
            **guard.identity(self.user),
        )
        output = str(done.stdout)
        if done.returncode:
            raise Failure(f"{cannot}: {command[0]} ended with {done.returncode}\n{output[-3000:]}")
        return output

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def make_place(name: str, *, in_memory: bool = True) -> Place:
    """Make a temporary folder for a server called *name*, in memory if there is room."""
    user = _unprivileged_user() if os.geteuid() == 0 else None
    fast = memory() if in_memory else None
    for parent in filter(None, (fast, tempfile.gettempdir(), "/tmp", "/var/tmp")):
        # The path stays short: a socket in it has at most 107 characters.
        folder = Path(tempfile.mkdtemp(prefix=f"databases-{name}-", dir=parent))
        place = Place(folder, user)
        place.give(folder, 0o755)
        with contextlib.suppress(Failure):
            place.run(["test", "-w", folder], cannot="cannot write")
            return place
        place.remove()
    raise Failure(f"cannot make a folder for {name}: {user} can write to no temporary folder")


class PrivateServer:
    """A server that ends when ``stop`` is called, or when this process ends in any way."""

    def __init__(
        self, place: Place, command: Sequence[str | Path], stop_signal: signal.Signals
    ) -> None:
        self.place = place
        task = {
            "command": [str(word) for word in command],
            "user": place.user,
            "folder": str(place.folder),
            "signal": int(stop_signal),
        }
        # A session of its own: Ctrl-C must reach the tests before the servers go.
        self._guard = subprocess.Popen(
            [sys.executable, "-S", "-B", str(SCRIPTS / "guard.py"), json.dumps(task)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_until(self, answers: Callable[[], object], name: str) -> None:
        """Return when *answers* raises no more; a server that ended, or is late, is a failure."""
        limit = time.monotonic() + START_LIMIT
        while True:
            try:
                answers()
            except Exception as error:  # noqa: BLE001
                late = time.monotonic() > limit
                if not late and self._guard.poll() is None:
                    # Nobody can tell us when a foreign server is ready.
                    time.sleep(0.05)
                    continue
                self.stop()
                raise Failure(f"cannot start {name}: {error}\n{self._log_end()}") from None
            return

    def stop(self) -> None:
        """Stop the server and remove its folder; return when both are gone."""
        assert self._guard.stdin is not None
        self._last_log = self._read_log()
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        try:
            self._guard.wait(guard.PATIENCE + 5)
        finally:
            self.place.remove()

    _last_log = ""

    def _log_end(self) -> str:
        return "\n".join(self._last_log.splitlines()[-15:])

    def _read_log(self) -> str:
        try:
            return (self.place.folder / "server.log").read_text("utf-8", errors="replace")
        except OSError:
            return self._last_log


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _unprivileged_user() -> str:
    for name in ("nobody", "postgres", "mysql", "daemon"):
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(name).pw_uid != 0:
                return name
    raise Failure("cannot start a server: root must not run it, and there is no user `nobody`")
