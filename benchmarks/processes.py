"""Contenders' processes as the controller sees them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ContenderError", "MissingError", "Process", "Spec", "roster"]

HERE = Path(__file__).parent
PATIENCE = 600.0
"""Longest time for one answer, in seconds."""

# The package is loaded by its path alone: with the checkout on the import path
# databases 0.9.0 could not be imported beside ours.
_BOOT = """
import importlib.util, os, sys
folder, root = sys.argv[1:3]
here = os.path.dirname(folder)
sys.path[:] = [path for path in sys.path if path and os.path.abspath(path) != here]
if root:
    sys.path.insert(0, root)
spec = importlib.util.spec_from_file_location(
    "benchmarks", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
sys.modules["benchmarks"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from benchmarks.worker import main
main()
"""


class ContenderError(Exception):
    """A contender failed at what it was asked to do."""


class MissingError(ContenderError):
    """A contender is not installed, or has nothing for this backend."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Who competes, and how its process is started."""

    name: str
    kind: str
    root: str = ""
    """Folder that holds the package `databases`; empty: the interpreter's own."""
    loop: str = "asyncio"
    version: str = ""
    """The version of `databases` that it must be."""
    is_peer: bool = False


def roster(*, peers: bool = True, also: Sequence[str] = ()) -> list[Spec]:
    """Return the contenders: the driver by hand first, then ours, then the peers.

    *also* are folders with further copies of `databases` to compare.
    """
    ours = str(HERE.parent)
    found = [
        Spec("raw", "raw"),
        Spec("ours", "facade", root=ours),
        Spec("ours, uvloop", "facade", root=ours, loop="uvloop"),
        *(Spec(f"ours, {Path(path).name}", "facade", root=str(path)) for path in also),
    ]
    if peers:
        found += [
            Spec("databases 0.9.0", "facade", version="0.9.0", is_peer=True),
            Spec("SQLAlchemy", "sqlalchemy", is_peer=True),
            Spec("Tortoise", "tortoise", is_peer=True),
        ]
    return found


class Process:
    """One contender in a process of its own; a context manager."""

    def __init__(self, spec: Spec, backend: str, python: str) -> None:
        self.spec = spec
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        # It would put a package in front of what the interpreter has installed.
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [
                *(python, "-c", _BOOT, str(HERE), spec.root),
                *(spec.kind, backend, spec.loop, spec.version),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.versions: dict[str, str] = {}
        self.workloads: frozenset[str] = frozenset()
        """The names of those that this contender has."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, url: str) -> None:
        """Connect. Raises `MissingError` when that contender is not to be had."""
        self.versions = self._answer()
        self.workloads = frozenset(self.ask("workloads"))
        self.ask("open", url)

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Return the process's answer. Raises `ContenderError` with what it raised."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps([verb, *arguments]) + "\n")
            stdin.flush()
        except OSError as error:
            raise ContenderError("its process has ended") from error
        return self._answer()

    def stop(self) -> None:
        """Disconnect and end the process."""
        if self._process.poll() is None:
            with contextlib.suppress(ContenderError):
                self.ask("close")
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        stdout = self._process.stdout
        assert stdout is not None
        alarm = threading.Timer(PATIENCE, self._process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            line = stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            raise ContenderError(f"its process has ended with {self._process.wait()}")
        reply = json.loads(line)
        if "missing" in reply:
            raise MissingError(reply["missing"])
        if "failed" in reply:
            raise ContenderError(reply["failed"])
        return reply["done"]
