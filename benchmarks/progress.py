"""The progress bar on standard error."""

from __future__ import annotations

import shutil
import sys
import time

__all__ = ["Progress"]


class Progress:
    """A line that says how far the run is and what it does now.

    Silent where standard error is no terminal, but for `tell`.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._is_shown = sys.stderr.isatty()

    def advance(self) -> None:
        """Note that one more workload is done."""
        self._done += 1

    def step(self, what: str) -> None:
        """Show *what* is done now."""
        if not self._is_shown:
            return
        share = self._done / max(self._total, 1)
        bar = "#" * round(24 * share)
        seconds = time.monotonic() - self._started
        line = f"[{bar:<24}] {share:4.0%} {seconds:4.0f} s  {what}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r" + line[:width].ljust(width))
        sys.stderr.flush()

    def tell(self, line: str) -> None:
        """Print *line* above the bar."""
        self.clear()
        print(line, file=sys.stderr)

    def clear(self) -> None:
        """Remove the bar."""
        if self._is_shown:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stderr.flush()
