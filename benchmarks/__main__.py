"""The command `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import environment, plot, report, scale
from benchmarks.processes import ContenderError, Spec, roster
from benchmarks.progress import Progress
from benchmarks.rounds import Outcome, Settings, contest, measure
from benchmarks.servers import MissingServerError, server_for
from benchmarks.workloads import FAMILIES, Workload, chosen

PLOTS = Path(__file__).parent.parent / "docs" / "benchmarks"


def main() -> int:
    """Run what the command line asks for; 1 when an answer of ours was wrong."""
    options = _parser().parse_args()
    try:
        workloads = chosen(options.workloads)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.make_environment:
        try:
            python = environment.make()
        except subprocess.CalledProcessError as error:
            print(f"cannot make the environment: {error}", file=sys.stderr)
            return 2
    else:
        python = environment.interpreter(options.python)
    specs = roster(peers=not options.no_peers, also=options.also)
    if options.only:
        specs = [spec for spec in specs if spec.name == "raw" or spec.name in options.only]
    failed = False
    found: list[dict[str, Any]] = []
    for backend in options.backend.split(","):
        try:
            result = _run(backend, workloads, specs, python, options)
        except (MissingServerError, ContenderError) as error:
            print(f"left out: {backend}: {error}", file=sys.stderr)
            failed = True
            continue
        failed = failed or result.pop("failed")
        found.append(result)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return int(failed)


def _run(
    backend: str,
    workloads: Sequence[Workload],
    specs: Sequence[Spec],
    python: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    if backend not in FAMILIES:
        raise MissingServerError(f"there is no such backend; choose from {', '.join(FAMILIES)}")
    progress = Progress(len(workloads))
    settings = Settings(
        rounds=options.rounds, brief=options.brief, tell=progress.tell, step=progress.step
    )
    with server_for(backend, options.url) as url:
        if options.memory or options.scale:
            return _run_sizes(backend, url, specs, python, settings, options)
        outcomes: list[Outcome] = []
        with contest(specs, backend, url, python, settings) as contenders:
            versions = contenders["raw"].versions
            for workload in workloads:
                outcomes.append(measure(workload, backend, contenders, settings))
                progress.advance()
            names = list(contenders)
    progress.clear()
    peers = [spec.name for spec in specs if spec.is_peer]
    print(f"\n{backend}: {report.machine()}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + "\n")
    if options.brief:
        print(report.answers(outcomes, names))
    else:
        print(report.table(outcomes, names, peers))
    for line in report.wrong(outcomes):
        print(line)
    result = report.as_json(backend, outcomes, versions, peers)
    if options.plot and not options.brief:
        _draw(lambda: plot.draw_workloads(result, PLOTS / backend))
    result["failed"] = "ours" not in names or any("ours" in each.wrong for each in outcomes)
    return result


def _run_sizes(
    backend: str,
    url: str,
    specs: Sequence[Spec],
    python: str,
    settings: Settings,
    options: argparse.Namespace,
) -> dict[str, Any]:
    result: dict[str, Any] = {"backend": backend, "machine": report.machine(), "failed": False}
    if options.memory:
        lines, result["memory"], holds = scale.memory(backend, url, specs, python, settings)
        print(f"\n{backend}: memory\n\n{report.tabulated(lines)}")
        result["failed"] = not holds
    if options.scale:
        lines, result["scale"], holds = scale.curves(backend, url, specs, python, settings)
        print(f"\n{backend}: growth of cost\n\n{report.tabulated(lines)}")
        result["failed"] = result["failed"] or not holds
        if options.plot:
            _draw(lambda: plot.draw_curves(result, PLOTS / f"{backend}-scale"))
    return result


def _draw(draw: Any) -> None:
    try:
        for path in draw():
            print(f"wrote {path}")
    except ImportError as error:
        print(f"cannot draw: {error}; pip install matplotlib", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure databases beside its drivers by hand and beside its peers.",
    )
    add = parser.add_argument
    add("--backend", default="sqlite", help=f"one or more of {','.join(FAMILIES)}")
    add("--workloads", default="all", help="names such as w1,w4; all")
    add("--rounds", type=int, default=15, help="slices per contender (15)")
    add("--brief", action="store_true", help="compare the answers, measure nothing")
    add("--memory", action="store_true", help="peak memory and leaks instead of workloads")
    add("--scale", action="store_true", help="how cost grows instead of workloads")
    add("--url", help="the server's URL; else TEST_DATABASE_URLS, else a private server")
    add("--json", metavar="FILE", help="write everything that was found")
    add("--plot", action="store_true", help=f"write PNG and SVG to {PLOTS.name}/ in docs")
    add("--python", help="interpreter that has the drivers and the peers")
    add("--make-environment", action="store_true", help="make one with databases 0.9.0 first")
    add("--no-peers", action="store_true", help="only the driver by hand and ours")
    add("--only", action="append", metavar="NAME", help="only this contender, and raw")
    add("--also", action="append", default=[], metavar="FOLDER", help="a further copy of databases")
    return parser


if __name__ == "__main__":
    sys.exit(main())
