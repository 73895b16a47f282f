"""Missing servers, installed from a Debian-like distribution and not left running."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from checkout import run_quietly, say

_POLICY = Path("/usr/sbin/policy-rc.d")
_FORBID = "#!/bin/sh\nexit 101\n"


def can_install() -> bool:
    """Say whether this is a Debian-like system that lets us install packages."""
    return shutil.which("apt-get") is not None and _as_root() is not None


def install(packages: Sequence[str]) -> None:
    """Install *packages*; their services are neither started now nor at the next boot."""
    root = _as_root()
    assert root is not None
    say(f"installing {' and '.join(packages)} with apt-get (a minute or two)")
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    run_quietly([*apt, "update"], cannot="cannot update the list of packages")
    with _no_service_starts(root):
        run_quietly(
            [*apt, "install", "--no-install-recommends", *packages],
            cannot=f"cannot install {' and '.join(packages)}",
        )
    if Path("/run/systemd/system").is_dir():
        services = [name.removesuffix("-server") for name in packages]
        _try([*root, "systemctl", "disable", "--now", *services])


@contextlib.contextmanager
def _no_service_starts(root: Sequence[str]) -> Iterator[None]:
    # Debian asks this program before it starts a service it has installed.
    if _POLICY.exists():
        yield
        return
    write = f"printf '%s' '{_FORBID}' > {_POLICY} && chmod 755 {_POLICY}"
    _try([*root, "sh", "-c", write])
    try:
        yield
    finally:
        _try([*root, "rm", "-f", str(_POLICY)])


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is not None and _try(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    return None


def _try(command: Sequence[str]) -> bool:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode == 0
