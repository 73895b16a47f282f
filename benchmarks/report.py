"""What a run says: a table for people, a dictionary for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.rounds import Outcome, verdict_of

__all__ = ["answers", "as_json", "machine", "table", "tabulated", "word_of", "wrong"]

OURS = "ours"


def table(outcomes: Sequence[Outcome], names: Sequence[str], peers: Sequence[str]) -> str:
    """Return the table of *outcomes*: CPU as a multiple of the driver's by hand."""
    head = ["workload", "raw µs", *(name for name in names if name != "raw")]
    lines = [[*head, "bar", "holds", "ahead of peers", "wall"]]
    for outcome in outcomes:
        holds, ahead = verdict_of(outcome, OURS, peers)
        own = outcome.costs.get(OURS)
        raw = outcome.costs.get("raw")
        lines.append(
            [
                f"{outcome.workload.name} {outcome.workload.what}",
                "" if raw is None else f"{raw.cpu * 1e6:,.0f}",
                *(_cell(outcome, name) for name in names if name != "raw"),
                "" if outcome.bar is None else f"{outcome.bar:g}",
                word_of(holds),
                word_of(ahead),
                "" if own is None else f"{own.wall_ratio:.2f}",
            ]
        )
    return tabulated(lines)


def answers(outcomes: Sequence[Outcome], names: Sequence[str]) -> str:
    """Return the table of a brief run: who answered right, blank where a peer cannot."""
    lines = [["workload", *names]]
    lines += [
        [
            f"{outcome.workload.name} {outcome.workload.what}",
            *(_answer(outcome, name) for name in names),
        ]
        for outcome in outcomes
    ]
    return tabulated(lines)


def wrong(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each contender that answered wrong."""
    return [
        f"wrong: {name}, {outcome.workload.name}: {how}"
        for outcome in outcomes
        for name, how in outcome.wrong.items()
    ]


def as_json(
    backend: str, outcomes: Sequence[Outcome], versions: Mapping[str, str], peers: Sequence[str]
) -> dict[str, Any]:
    """Return everything that was found."""
    return {
        "backend": backend,
        "machine": machine(),
        "versions": dict(versions),
        "workloads": {
            outcome.workload.name: {
                "what": outcome.workload.what,
                "bar": outcome.bar,
                "holds": verdict_of(outcome, OURS, peers)[0],
                "ahead_of_peers": verdict_of(outcome, OURS, peers)[1],
                "costs": {name: asdict(cost) for name, cost in outcome.costs.items()},
                "wrong": outcome.wrong,
            }
            for outcome in outcomes
        },
    }


def machine() -> str:
    """Return what the figures were taken on."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def tabulated(lines: Sequence[Sequence[str]]) -> str:
    """Return *lines*, the first the headings, as a table that Markdown reads too."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["| " + " | ".join(_padded(line, widths)) + " |" for line in lines]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([rows[0], rule, *rows[1:]])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = (word.ljust(width) for word, width in zip(line, widths, strict=True))
    return [first, *(word.strip().rjust(len(word)) for word in rest)]


def _answer(outcome: Outcome, name: str) -> str:
    if name in outcome.lacking:
        return ""
    return "wrong" if name in outcome.wrong else "right"


def _cell(outcome: Outcome, name: str) -> str:
    if name in outcome.wrong:
        return "wrong"
    cost = outcome.costs.get(name)
    return "" if cost is None else f"{cost.cpu_ratio:.2f}"


def word_of(verdict: bool | None) -> str:  # noqa: FBT001  # a value to print
    """Return *verdict* as the table says it."""
    return "" if verdict is None else "yes" if verdict else "NO"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8", errors="replace").splitlines() if told.exists() else []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
