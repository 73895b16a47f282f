"""Rounds: short slices of all contenders in shuffled order, and ratios within each round."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.answers import difference
from benchmarks.processes import ContenderError, MissingError, Process, Spec
from benchmarks.tables import LOG
from benchmarks.workloads import TOLERANCE, Workload, bar_of

__all__ = ["Cost", "Outcome", "Settings", "contest", "costs_of", "measure", "verdict_of"]

SLICE = 0.06
"""CPU seconds that one slice takes, roughly."""
MOST = 5000
"""Most times that a workload is done in one slice."""
BUDGET = 45.0
"""Seconds after which a workload of long slices gets no more rounds."""


def _ignore(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made."""

    rounds: int = 15
    brief: bool = False
    """Whether only the answers matter."""
    tell: Callable[[str], None] = _ignore
    """Told what the user should know: what was left out and why."""
    step: Callable[[str], None] = _ignore
    """Told what is done next, for the progress bar."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one workload costs one contender: medians over the rounds."""

    cpu: float
    """Seconds of CPU per time."""
    wall: float
    cpu_ratio: float
    """As a multiple of the driver's by hand, in the same round."""
    wall_ratio: float


@dataclass(slots=True)
class Outcome:
    """What came of one workload."""

    workload: Workload
    bar: float | None
    costs: dict[str, Cost] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    """Contenders whose answer differed, or that failed, and how."""
    lacking: set[str] = field(default_factory=set)
    """Peers that have no such workload: neither wrong nor timed."""


@contextmanager
def contest(
    specs: Sequence[Spec], backend: str, url: str, python: str, settings: Settings
) -> Iterator[dict[str, Process]]:
    """Start every contender that is to be had; make the tables, and remove them at the end."""
    with ExitStack() as stack:
        started: dict[str, Process] = {}
        for spec in specs:
            settings.step(f"starting {spec.name}")
            process = stack.enter_context(Process(spec, backend, python))
            try:
                process.start(url)
                if spec.kind == "raw":
                    process.ask("make_tables")
                    stack.callback(_drop_tables, process)
            except MissingError as error:
                settings.tell(f"left out: {spec.name}: {error}")
            except ContenderError as error:
                settings.tell(f"left out: {spec.name}: cannot start: {error}")
            else:
                started[spec.name] = process
            if spec.kind == "raw" and not started:
                raise ContenderError(f"cannot measure {backend}: its driver cannot be used by hand")
        yield started


def measure(
    workload: Workload, backend: str, contenders: Mapping[str, Process], settings: Settings
) -> Outcome:
    """Compare the answers to *workload*, then what they cost."""
    outcome = Outcome(workload, bar_of(backend, workload.name))
    right = compare(outcome, contenders, settings)
    if not settings.brief and "raw" in right:
        slices = _run_rounds(workload, right, settings)
        outcome.costs.update(costs_of(slices))
    return outcome


def compare(
    outcome: Outcome, contenders: Mapping[str, Process], settings: Settings
) -> dict[str, Process]:
    """Return the contenders whose answer is the driver's own; note the others.

    A peer may lack a workload; ours that does fails.
    """
    workload, raw = outcome.workload, contenders["raw"]
    right: dict[str, Process] = {}
    wanted = None
    for name, process in contenders.items():
        settings.step(f"{workload.name} answers: {name}")
        if process.spec.is_peer and workload.name not in process.workloads:
            outcome.lacking.add(name)
            continue
        try:
            if workload.writes:
                raw.ask("clear_log")
            answer = process.ask("answer", workload.name, 3 if workload.writes else 1)
            if workload.writes:
                answer = [answer, raw.ask("read", LOG)]
        except ContenderError as error:
            outcome.wrong[name] = str(error).splitlines()[0]
            continue
        if name == "raw":
            wanted = answer
        differs = difference(answer, wanted)
        if differs is None:
            right[name] = process
        else:
            outcome.wrong[name] = differs
    return right


def costs_of(slices: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Cost]:
    """Return the cost of each contender from its (CPU, wall) per round; one must be ``raw``."""
    raw = slices["raw"]
    return {
        name: Cost(
            statistics.median(cpu for cpu, _ in own),
            statistics.median(wall for _, wall in own),
            statistics.median(mine[0] / his[0] for mine, his in zip(own, raw, strict=True)),
            statistics.median(mine[1] / his[1] for mine, his in zip(own, raw, strict=True)),
        )
        for name, own in slices.items()
    }


def verdict_of(
    outcome: Outcome, name: str, peers: Sequence[str]
) -> tuple[bool | None, bool | None]:
    """Tell whether *name* holds the bar, and whether it is ahead of all *peers*.

    None where there is no bar, no peer or no figure.
    """
    own = outcome.costs.get(name)
    if own is None:
        return None, None
    holds = None if outcome.bar is None else own.cpu_ratio <= outcome.bar * TOLERANCE
    theirs = [outcome.costs[peer].cpu_ratio for peer in peers if peer in outcome.costs]
    return holds, min(theirs) > own.cpu_ratio if theirs else None


def _run_rounds(
    workload: Workload, contenders: dict[str, Process], settings: Settings
) -> dict[str, list[tuple[float, float]]]:
    raw = contenders["raw"]
    counts: dict[str, int] = {}
    expected = 0.0
    for name, process in contenders.items():
        if workload.writes:
            raw.ask("clear_log")
        cpu, wall = process.ask("slice", workload.name, 1)
        cpu, wall = process.ask("slice", workload.name, 1)
        counts[name] = max(1, min(MOST, round(SLICE / max(cpu, 1e-6))))
        expected += wall * counts[name]
    number = max(3, min(settings.rounds, int(BUDGET / max(expected, 1e-6))))
    slices: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(number):
        names = list(contenders)
        random.shuffle(names)
        for name in names:
            settings.step(f"{workload.name} round {turn + 1} of {number}: {name}")
            if workload.writes:
                raw.ask("clear_log")
            cpu, wall = contenders[name].ask("slice", workload.name, counts[name])
            slices[name].append((cpu / counts[name], wall / counts[name]))
    return slices


def _drop_tables(raw: Process) -> None:
    try:
        raw.ask("drop_tables")
    except ContenderError:
        return  # its process has ended; the tables are made anew next time
