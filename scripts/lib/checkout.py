"""Where things are in the checkout, and how the scripts speak and run programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "lib"


class Failure(Exception):
    """A script cannot go on; its text is shown to the user."""


def say(text: str) -> None:
    """Tell the user what happens, at once."""
    print(f"-- {text}", flush=True)


def temporary_folder(prefix: str, *, in_memory: bool = False) -> tempfile.TemporaryDirectory[str]:
    """Make a folder that goes away with the block that uses it."""
    return tempfile.TemporaryDirectory(
        prefix=f"databases-{prefix}-",
        dir=memory() if in_memory else None,
        ignore_cleanup_errors=True,
    )


def memory() -> str | None:
    """Name a folder whose files are in memory; None where there is none, or little room."""
    folder = "/dev/shm"
    try:
        # A container may have as little as 64 MiB of it.
        has_room = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 4 << 30
    except OSError:
        has_room = False
    return folder if has_room else None


def run(command: Sequence[str | Path], *, last_act: Path | None = None, **environment: str) -> int:
    """Run *command* in the checkout, show what it prints, and give its exit code.

    When this process is told to end, *command* ends first. Once it has written
    *last_act*, it has a minute left: a thread that it leaves behind must not
    keep it for ever.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )
    try:
        return process.wait() if last_act is None else _wait(process, last_act)
    except KeyboardInterrupt:
        # Ctrl-C went to both; let *command* say what it got to.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        raise
    finally:
        end(process)


def _wait(process: subprocess.Popen[bytes], last_act: Path) -> int:
    limit = None
    while (code := process.poll()) is None:
        if limit is None and last_act.exists():
            limit = time.monotonic() + 60
        if limit is not None and time.monotonic() > limit:
            say("it has done its work and does not end: a thread of it is left")
            return 124
        time.sleep(0.1)
    return code


def run_quietly(
    command: Sequence[str | Path],
    *,
    cannot: str,
    environment: Mapping[str, str] | None = None,
    limit: float = 600,
) -> str:
    """Run *command* and give what it printed.

    If it fails, or takes more than *limit* seconds, *cannot* and the end of
    what it printed are the failure.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end(process)
        raise Failure(f"{cannot}: {command[0]} did not end in {limit:.0f} s") from None
    except BaseException:
        end(process)
        raise
    if process.returncode:
        last = "\n".join(output.strip().splitlines()[-25:])
        raise Failure(f"{cannot}: {command[0]} ended with {process.returncode}\n{last}")
    return output


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Stop *process*: politely, and after ten seconds for certain."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into ``SystemExit``, so that clean-up runs."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not interrupt the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(128 + number)


def call_main(main: object, arguments: Sequence[str]) -> NoReturn:
    """Run *main* and leave with its exit code; a ``Failure`` is 2, Ctrl-C is 130."""
    end_on_signals()
    assert callable(main)
    try:
        code = main(arguments)
    except Failure as failure:
        print(failure, file=sys.stderr, flush=True)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
