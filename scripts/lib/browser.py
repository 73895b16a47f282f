"""A headless Chromium, driven over two pipes: it needs no package beyond Chromium itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packages
from checkout import Failure, end, say, temporary_folder

if TYPE_CHECKING:
    from typing_extensions import Self

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE = 30.0
"""Longest wait for one answer of the browser, in seconds."""

# Chromium reads commands from descriptor 3 and writes to descriptor 4.
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_or_install() -> str:
    """Name the program of Chromium; install it where that needs no password."""
    found = find()
    if found is None and packages.can_install():
        try:
            packages.install(["chromium"])
        except Failure as failure:
            say(str(failure))
        found = find()
    if found is None:
        raise Failure(
            f"cannot open the site: none of {', '.join(NAMES)} is on the PATH; install one (on "
            "Debian: apt-get install chromium)"
        )
    return found


def find() -> str | None:
    """Name the program of Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium that reaches no other machine; a context manager."""

    def __init__(self, program: str) -> None:
        self.events: list[dict[str, Any]] = []
        """What the page reported so far and nobody has taken."""
        self._program = program
        self._stack = contextlib.ExitStack()
        self._count = 0
        self._session: str | None = None
        self._unread = b""
        self._log = Path()

    def __enter__(self) -> Self:
        try:
            self._start()
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            answer = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = answer["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        folder = self._stack.enter_context(temporary_folder("browser"))
        commands, self._write = _pipe()
        self._read, answers = _pipe()
        for mine in (self._write, self._read):
            self._stack.callback(os.close, mine)
        self._log = Path(folder) / "log"
        log = self._stack.enter_context(self._log.open("wb"))
        command = [
            self._program,
            *("--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}/profile"),
            *("--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            # Only this machine has a name: a request to another host fails.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # it cannot have one as root
        ]
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(commands), str(answers), *command],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        os.close(commands)
        os.close(answers)
        self._stack.callback(end, process)

    def call(self, method: str, **params: Any) -> Any:
        """Send one command and give its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise self._ended(method) from None
        while True:
            answer = self._next_message(time.monotonic() + PATIENCE, method)
            if answer.get("id") != self._count:
                self.events.append(answer)
            elif "error" in answer:
                raise Failure(f"cannot use the browser: {method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def open(self, url: str) -> None:
        """Go to *url* and wait until it has loaded."""
        seen = len(self.events)
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise Failure(f"cannot open {url}: {answer['errorText']}")
        limit = time.monotonic() + PATIENCE
        # Without a loader only the anchor has changed, and nothing is loaded.
        while "loaderId" in answer:
            if any(event["method"] == "Page.loadEventFired" for event in self.events[seen:]):
                return
            seen = len(self.events)
            self.events.append(self._next_message(limit, f"loading {url}"))

    def evaluate(self, script: str) -> Any:
        """Run *script* in the page, wait for its promise, and give its value."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise Failure(f"cannot ask the page: {describe(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def take_events(self) -> list[dict[str, Any]]:
        """Give what the page reported since the last time."""
        events, self.events = self.events, []
        return events

    def _next_message(self, limit: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._read], [], [], max(0, limit - time.monotonic()))
            if not readable:
                raise Failure(f"cannot use the browser: no answer to {what} in {PATIENCE:.0f} s")
            received = os.read(self._read, 1 << 16)
            if not received:
                raise self._ended(what)
            self._unread += received
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _ended(self, what: str) -> Failure:
        lines = self._log.read_text("utf-8", errors="replace").splitlines()
        last = "\n".join(lines[-5:])
        return Failure(f"cannot use the browser: {self._program} ended during {what}\n{last}")


def _pipe() -> tuple[int, int]:
    """Make a pipe whose ends are neither 3 nor 4, which will be taken."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in ends)
    for each in ends:
        os.close(each)
    return moved[0], moved[1]


def describe(details: dict[str, Any]) -> str:
    """Put the details of a JavaScript exception into words."""
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details.get("text"))
