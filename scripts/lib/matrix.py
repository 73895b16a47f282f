"""The tests of behaviour on every Python of this machine, with old and with new packages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import matrix_row
import table
from checkout import SCRIPTS, Failure, end, say, temporary_folder
from matrix_row import NEWEST, OLDEST, SQLALCHEMY_20, VERSIONS, Row, RowResult, find_python
from pytest_run import Counts
from servers import Servers

AT_ONCE = min(4, max(2, os.cpu_count() or 1))
"""How many rows run at the same time; each waits for the servers a good part of its time."""


def run_matrix(
    servers: Servers,
    variables: Mapping[str, str],
    arguments: Sequence[str],
    versions: Sequence[str],
) -> int:
    """Run the tests on each row, show a table, and give the exit code.

    *versions* are those that must be there; without any, those that are there.
    """
    found = {version: python for version in VERSIONS if (python := find_python(version))}
    if missing := [version for version in versions if version not in found]:
        raise Failure(f"cannot run on Python {', '.join(missing)}: not found on this machine")
    rows = plan_of({version: found[version] for version in versions}) or plan(found)
    with temporary_folder("matrix") as name:
        results = _run_rows(rows, servers, variables, arguments, Path(name))
    problems = [
        f"{driver} could not be tested: {reason} (--without {driver} leaves it out)"
        for driver, reason in servers.missing.items()
    ]
    for result in results:
        if result.failure:
            problems.append(f"Python {result.row.name}: {result.failure.splitlines()[0]}")
        elif result.outcome.code:
            problems.append(f"Python {result.row.name}: pytest ended with {result.outcome.code}")
        problems += [
            f"Python {result.row.name}: {target.driver} was not tested"
            for target in servers.targets
            if not arguments and not result.outcome.drivers.get(target.driver, Counts()).passed
        ]
    if not results:
        problems.append(f"no Python of {', '.join(VERSIONS)} could run the tests")
    return _show(servers, results, problems)


def plan(pythons: Mapping[str, str]) -> list[Row]:
    """Share out the packages: the oldest to the oldest Python, the newest to the newest.

    In between comes the newest SQLAlchemy 2.0. Also a machine with one Python
    gets all three.
    """
    if not pythons:
        return []
    oldest, *others = pythons
    newest = others.pop() if others else oldest
    second = others.pop(0) if others else newest
    chosen = [(oldest, OLDEST), (second, SQLALCHEMY_20)]
    chosen += [(version, NEWEST) for version in (*others, newest)]
    return [Row(version, pythons[version], packages) for version, packages in chosen]


def plan_of(pythons: Mapping[str, str]) -> list[Row]:
    """Give the lowest of chosen Pythons the oldest packages, the others the newest."""
    lowest = min(pythons, key=VERSIONS.index, default="")
    return [
        Row(version, python, OLDEST if version == lowest else NEWEST)
        for version, python in pythons.items()
    ]


def _run_rows(
    rows: Sequence[Row],
    servers: Servers,
    variables: Mapping[str, str],
    arguments: Sequence[str],
    folder: Path,
) -> list[RowResult]:
    """Run a few rows at a time; show what one printed if it failed."""
    waiting = list(rows)
    running: dict[Row, tuple[subprocess.Popen[bytes], float]] = {}
    results: dict[Row, RowResult] = {}
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                row = waiting.pop(0)
                say(f"Python {row.name}: started")
                task = matrix_row.encode(row, servers.targets, arguments)
                process = _start(task, folder / row.folder.name, variables)
                running[row] = (process, time.monotonic())
            # Two processes, and whichever ends first makes room.
            time.sleep(0.1)
            for row, (process, started) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[row]
                results[row] = matrix_row.decode(row, folder / row.folder.name)
                seconds = time.monotonic() - started
                if results[row].failure or results[row].outcome.code:
                    _show_output(folder / row.folder.name)
                total = results[row].outcome.total()
                counts = f"{total.passed} passed, {total.failed} failed"
                say(f"Python {row.name}: {counts} in {seconds:.0f} s")
    finally:
        for row, (process, _) in running.items():
            end(process)
            say(f"Python {row.name}: did not get to its end; what it printed:")
            _show_output(folder / row.folder.name)
    return [results[row] for row in rows]


def _start(task: str, folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-B", str(SCRIPTS / "matrix_row.py"), task, str(folder)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _show_output(folder: Path) -> None:
    print((folder / "output").read_text("utf-8", errors="replace"), flush=True)


def _show(servers: Servers, results: Sequence[RowResult], problems: Sequence[str]) -> int:
    print()
    for result in results:
        print(f"Python {result.row.name}: {result.packages}")
    for target in servers.targets:
        print(f"{target.driver}: {target.server}")
    print()
    names = [target.driver for target in servers.targets]
    lines: list[list[object]] = []
    for result in results:
        total = result.outcome.total()
        cells = [_cell(result.outcome.drivers.get(name, Counts())) for name in names]
        lines.append([result.row.name, *cells, total.passed, total.failed, total.skipped])
    table.show(("Python", *names, "passed", "failed", "skipped"), lines)
    print()
    for problem in problems:
        print(problem)
    passed, failed, skipped = (
        sum(getattr(result.outcome.total(), name) for result in results)
        for name in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if problems or failed else 0


def _cell(counts: Counts) -> str:
    if counts.failed:
        return f"{counts.failed} failed"
    return f"{counts.passed} passed" if counts.passed else "not tested"
