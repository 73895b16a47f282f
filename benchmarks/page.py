"""The page of the documentation, written from what runs found.

python -m benchmarks.page FILE ...

Each FILE was written by ``python -m benchmarks --json FILE``. Where two are
about the same backend, the later one counts. The page is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import tabulated, word_of
from benchmarks.workloads import FAMILIES, TOLERANCE

__all__ = ["page"]

INTRODUCTION = Path(__file__).with_name("introduction.md")
CONTENDERS = ("ours", "ours, uvloop", "databases 0.9.0", "SQLAlchemy", "Tortoise")
NAMES = {"ours": "here", "ours, uvloop": "here, uvloop", "databases 0.9.0": "0.9.0"}


def main() -> int:
    """Print the page."""
    found: list[dict[str, Any]] = []
    for name in sys.argv[1:]:
        found += json.loads(Path(name).read_text(encoding="utf-8"))
    print(page(found), end="")
    return 0


def page(found: Iterable[Mapping[str, Any]]) -> str:
    """Return the page about the runs in *found*."""
    runs: dict[str, dict[str, Any]] = {}
    for run in found:
        runs.setdefault(run["backend"], {}).update(run)
    ordered = [runs[name] for name in FAMILIES if name in runs]
    parts = [INTRODUCTION.read_text(encoding="utf-8").rstrip()]
    parts += [_where(ordered[0])] if ordered else []
    for run in ordered:
        parts.append(f"## {run['backend']}")
        if "workloads" in run:
            parts += [_workloads(run), *_missed(run)]
            parts.append(
                f"![CPU per workload on {run['backend']}](benchmarks/{run['backend']}.svg)"
            )
    if any("memory" in run for run in ordered):
        parts += ["## Memory", _memory(ordered)]
    if any("scale" in run for run in ordered):
        parts += ["## How cost grows", _growth(ordered)]
    return "\n\n".join(parts) + "\n"


def _where(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    return f"Taken on: {run['machine']}. Versions: {versions}."


def _workloads(run: Mapping[str, Any]) -> str:
    names = [
        name
        for name in CONTENDERS
        if any(name in each["costs"] or name in each["wrong"] for each in run["workloads"].values())
    ]
    head = ["workload", "raw, µs", *(NAMES.get(name, name) for name in names), "bar", "holds"]
    lines = [head]
    for key, each in run["workloads"].items():
        raw = each["costs"].get("raw")
        lines.append(
            [
                f"{key} {each['what']}",
                "" if raw is None else f"{raw['cpu'] * 1e6:,.0f}",
                *(_ratio(each, name) for name in names),
                "" if each["bar"] is None else f"{each['bar']:g}",
                word_of(each["holds"]),
            ]
        )
    return tabulated(lines)


def _ratio(workload: Mapping[str, Any], name: str) -> str:
    if name in workload["wrong"]:
        return "wrong"
    return f"{workload['costs'][name]['cpu_ratio']:.2f}" if name in workload["costs"] else ""


def _missed(run: Mapping[str, Any]) -> list[str]:
    """Return a line about the bars that did not hold and the peers that were ahead."""
    workloads = run["workloads"].items()
    missed = [name for name, each in workloads if each["holds"] is False]
    behind = [name for name, each in workloads if each["ahead_of_peers"] is False]
    lines = [f"Over the bar by more than {TOLERANCE - 1:.0%} in this run: {', '.join(missed)}."]
    lines = lines if missed else ["All bars held in this run."]
    if behind:
        lines.append(f"Behind a peer in this run: {', '.join(behind)}.")
    return [" ".join(lines)]


def _memory(runs: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            "backend",
            "iterate, 10 000 rows",
            "iterate, 1 000 000 rows",
            "fetch_all, 100 000 rows",
            "the same by hand",
            "left by 100 000 tasks",
        ]
    ]
    for run in runs:
        if "memory" in run:
            ours, raw = run["memory"]["peaks"]["ours"], run["memory"]["peaks"]["raw"]
            sizes = [
                *(ours[name] for name in ("each_row 10000", "each_row 1000000", "all_rows 100000")),
                raw["all_rows 100000"],
                run["memory"]["leaked"],
            ]
            lines.append([run["backend"], *(f"{size / 1e6:.1f} MB" for size in sizes)])
    return tabulated(lines)


def _growth(runs: Sequence[Mapping[str, Any]]) -> str:
    lines = [["backend", "what grows", "from", "to", "µs of CPU each, at first", "at last"]]
    for run in runs:
        for curve in run.get("scale", {}).values():
            first, last = curve["points"][0], curve["points"][-1]
            lines.append(
                [
                    run["backend"],
                    curve["what"],
                    f"{first['size']:,}",
                    f"{last['size']:,}",
                    f"{first['cpu'] * 1e6:.2f} per {curve['unit']}",
                    f"{last['cpu'] * 1e6:.2f}",
                ]
            )
    return tabulated(lines)


if __name__ == "__main__":
    sys.exit(main())
