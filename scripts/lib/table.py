"""Tables of results for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

NUMBERS = {"passed", "failed", "skipped"}


def show(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print *rows* under *header*, numbers to the right."""
    texts = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(header))]
    texts.insert(1, ["-" * width for width in widths])
    for row in texts:
        cells = [
            cell.rjust(width) if name in NUMBERS else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip(), flush=True)
