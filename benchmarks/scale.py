"""Memory and growth: what reads cost at the peak, what tasks leave, how cost grows with size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.growth import CURVES
from benchmarks.processes import ContenderError, Process, Spec
from benchmarks.report import word_of
from benchmarks.rounds import Settings, contest
from benchmarks.tables import MANY, READ

__all__ = ["curves", "memory"]

FLAT = 8 * 2**20
"""Bytes by which the peak may grow from 10 000 streamed rows to 1 000 000."""
TIMES_RAW = 1.3
"""Peak of `fetch_all` as a multiple of the driver's by hand."""
LEAKED = 4 * 2**20
"""Bytes that 90 000 tasks may leave: less than one word each, with noise."""
TASKS = 100_000
TAIL = 3.0
"""Longest time of 99 in 100 waiting tasks as a multiple of the mean."""
STEEPEST = 2.0
"""Cost of the largest size, per unit, as a multiple of the smallest's."""

CACHED = 512
"""Statements that are remembered by default."""

Found = tuple[list[list[str]], dict[str, Any], bool]


def many(count: int) -> str:
    """Return a query with *count* rows."""
    times, last = max(count // READ, 1), min(count, READ)
    return MANY.replace(":times", str(times)).replace(":last", str(last))


def memory(backend: str, url: str, specs: Sequence[Spec], python: str, settings: Settings) -> Found:
    """Return the table, the figures, and whether ours keeps within the limits."""
    first = [spec for spec in specs if spec.kind == "raw"]
    ours = [spec for spec in specs if spec.name == "ours"]
    peaks: dict[str, dict[str, int]] = {}
    with contest(first, backend, url, python, settings):
        for spec in [*first, *ours]:
            # A fresh process each: memory that was freed hides the next peak.
            peaks[spec.name] = {
                f"{way} {count}": _peak(spec, backend, url, python, settings, way, count)
                for way, count in (
                    ("each_row", 10_000),
                    ("each_row", 1_000_000),
                    ("all_rows", 100_000),
                )
            }
        settings.step(f"{TASKS} tasks")
        with Process(ours[0], backend, python) as process:
            process.start(url)
            leaked = int(process.ask("leak", TASKS)[1])
    own, raw = peaks["ours"], peaks["raw"]
    growth = own["each_row 1000000"] - own["each_row 10000"]
    ratio = own["all_rows 100000"] / max(raw["all_rows 100000"], 1)
    verdicts = [growth <= FLAT, ratio <= TIMES_RAW, leaked <= LEAKED]
    lines = [
        ["what", "raw", "ours", "limit", "holds"],
        ["iterate: peak of 10 000 rows", *_pair(peaks, "each_row 10000"), "", ""],
        [
            *("iterate: peak of 1 000 000 rows", *_pair(peaks, "each_row 1000000")),
            *(f"+{_size(FLAT)}", word_of(verdicts[0])),
        ],
        [
            *("fetch_all: peak of 100 000 rows", *_pair(peaks, "all_rows 100000")),
            *(f"{TIMES_RAW:g} x raw, is {ratio:.2f}", word_of(verdicts[1])),
        ],
        [f"left by {TASKS} tasks", "", _size(leaked), _size(LEAKED), word_of(verdicts[2])],
    ]
    return lines, {"peaks": peaks, "leaked": leaked}, all(verdicts)


def curves(backend: str, url: str, specs: Sequence[Spec], python: str, settings: Settings) -> Found:
    """Return the table, the points, and whether cost grows as it should."""
    first = [spec for spec in specs if spec.kind == "raw"]
    ours = next(spec for spec in specs if spec.name == "ours")
    lines = [["what grows", "size", "µs each", "notes", "holds"]]
    found: dict[str, Any] = {}
    holds = True
    with contest(first, backend, url, python, settings):
        for name, (what, sizes, unit) in CURVES.items():
            points = []
            for size in sizes:
                settings.step(f"{size} {what}")
                with Process(ours, backend, python) as process:
                    process.start(url)
                    point = process.ask("grow", name, size)
                points.append({"size": size, **point})
                is_fine = _is_fine(name, points) if size == sizes[-1] else None
                holds = holds and is_fine is not False
                each = f"{point['cpu'] * 1e6:.2f} per {unit}"
                lines.append([what, f"{size}", each, _notes(point), word_of(is_fine)])
            found[name] = {"what": what, "unit": unit, "points": points}
    return lines, found, holds


def _peak(
    spec: Spec, backend: str, url: str, python: str, settings: Settings, way: str, count: int
) -> int:
    settings.step(f"{spec.name}: {way} of {count}")
    with Process(spec, backend, python) as process:
        process.start(url)
        rows, grown = process.ask("memory", way, many(count))
    if rows != count:
        raise ContenderError(f"cannot measure: {spec.name} read {rows} rows of {count}")
    return int(grown)


def _is_fine(name: str, points: Sequence[dict[str, Any]]) -> bool:
    """Tell whether the last of *points* is as cheap, each, as the first."""
    last, first = points[-1], points[0]
    if name == "tasks" and not (last["in_order"] and last["tail"] <= TAIL):
        return False
    if name == "statements":
        # Past the cache each costs a compilation, and that does not grow.
        first = next(point for point in points if point["size"] > CACHED)
    return bool(last["cpu"] <= first["cpu"] * STEEPEST)


def _notes(point: dict[str, Any]) -> str:
    if "tail" in point:
        order = "in order" if point["in_order"] else "OUT OF ORDER"
        return f"{order}, 99 % within {point['tail']:.1f} x the mean"
    return ""


def _pair(peaks: dict[str, dict[str, int]], what: str) -> tuple[str, str]:
    return _size(peaks["raw"][what]), _size(peaks["ours"][what])


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MB"
