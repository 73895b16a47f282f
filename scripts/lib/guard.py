"""Run one server for as long as the standard input stays open, then stop it.

However the process that holds the other end finishes, also when it is killed,
the server ends and its folder goes away. Nothing else is imported here: it
starts in a moment and needs no environment.

    python guard.py '{"command": [...], "user": null, "folder": "...", "signal": 2}'
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

PATIENCE = 15.0
"""Longest time a server may take to stop by itself, in seconds."""


class Identity(TypedDict, total=False):
    """Who runs a program: keywords of ``Popen``."""

    user: int
    group: int
    extra_groups: list[int]
    env: dict[str, str]


def main() -> int:
    """Start the server, wait for the end of the input or of the server, clean up."""
    task = json.loads(sys.argv[1])
    # The end comes through the input alone.
    # A handler, not SIG_IGN: what is ignored stays ignored in the server.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        with (Path(task["folder"]) / "server.log").open("ab") as log:
            server = subprocess.Popen(
                task["command"],
                cwd=task["folder"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **identity(task["user"]),
            )
        while server.poll() is None:
            readable, _, _ = select.select([0], [], [], 0.2)
            if readable and not os.read(0, 1024):
                break
        _stop(server, task["signal"])
    finally:
        shutil.rmtree(task["folder"], ignore_errors=True)
    return 0


def identity(user: str | None) -> Identity:
    """Give what ``Popen`` needs to run a program as *user*; None is whoever runs this."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    environment = {**os.environ, "HOME": "/", "USER": user, "LOGNAME": user}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": environment}


def _stop(server: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(number)
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
