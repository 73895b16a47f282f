"""What a read costs in memory, measured inside a contender's process."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["leak", "measure"]

_STATUS = Path("/proc/self/status")


def measure(read: Callable[[], int]) -> list[int]:
    """Return the rows that *read* counted, and the bytes by which it raised the peak."""
    gc.collect()
    _forget_peak()
    before = _memory("VmRSS")
    rows = read()
    return [rows, max(_memory("VmHWM") - before, 0)]


async def leak(contender: Any, tasks: int) -> list[int]:
    """Run *tasks* short tasks; return how many bytes the later nine tenths left behind."""
    await _run_tasks(contender, tasks // 10)
    gc.collect()
    before = _memory("VmRSS")
    await _run_tasks(contender, tasks - tasks // 10)
    gc.collect()
    return [tasks, _memory("VmRSS") - before]


async def _run_tasks(contender: Any, count: int) -> None:
    for start in range(0, count, 50):
        size = min(50, count - start)
        await asyncio.gather(*(contender.w12_task(start + number) for number in range(size)))


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # elsewhere the peak of the whole life is all there is


def _memory(field: str) -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
