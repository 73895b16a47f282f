"""The plots for the documentation; matplotlib is needed for these alone."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["draw_curves", "draw_workloads"]

COLOURS = {
    "ours": "#1f6feb",
    "ours, uvloop": "#79b8ff",
    "databases 0.9.0": "#d1793b",
    "SQLAlchemy": "#8a8f98",
    "Tortoise": "#5a9e6f",
}


def draw_workloads(result: Mapping[str, Any], stem: Path) -> list[Path]:
    """Draw CPU per workload as multiples of the driver's by hand; return the files.

    Raises `ImportError` without matplotlib.
    """
    plt = _pyplot()
    workloads = {name: each for name, each in result["workloads"].items() if each["costs"]}
    names = [n for n in COLOURS if any(n in each["costs"] for each in workloads.values())]
    figure, axes = plt.subplots(figsize=(9, 0.75 * len(workloads) + 1.6))
    height = 0.8 / max(len(names), 1)
    for index, name in enumerate(names):
        places, widths = [], []
        for row, each in enumerate(workloads.values()):
            if name in each["costs"]:
                places.append(row + (index - len(names) / 2 + 0.5) * height)
                widths.append(each["costs"][name]["cpu_ratio"])
        bars = axes.barh(places, widths, height, label=name, color=COLOURS[name])
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=6)
    for row, each in enumerate(workloads.values()):
        if each["bar"]:
            axes.plot([each["bar"]] * 2, [row - 0.45, row + 0.45], color="black", linewidth=1)
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks(range(len(workloads)))
    axes.set_yticklabels([f"{n}  {each['what']}" for n, each in workloads.items()], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("client CPU, the driver by hand = 1 (log scale); short lines: our bars")
    axes.set_title(f"{result['backend']}: {result['machine']}", fontsize=8)
    axes.legend(fontsize=7, loc="lower right")
    return _saved(plt, figure, stem)


def draw_curves(result: Mapping[str, Any], stem: Path) -> list[Path]:
    """Draw what one unit costs as the size of the task grows; return the files."""
    plt = _pyplot()
    curves = list(result["scale"].values())
    figure, grid = plt.subplots(1, len(curves), figsize=(3.2 * len(curves), 3))
    for axes, curve in zip(grid, curves, strict=True):
        sizes = [point["size"] for point in curve["points"]]
        axes.plot(sizes, [point["cpu"] * 1e6 for point in curve["points"]], "o-", color="#1f6feb")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(curve["what"], fontsize=8)
        axes.set_ylabel(f"µs of CPU per {curve['unit']}", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{result['backend']}: {result['machine']}", fontsize=8)
    return _saved(plt, figure, stem)


def _pyplot() -> Any:
    importlib.import_module("matplotlib").use("Agg")
    return importlib.import_module("matplotlib.pyplot")


def _saved(plt: Any, figure: Any, stem: Path) -> list[Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".svg")]
    figure.tight_layout()
    for path in paths:
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return paths
