"""Run the formatter, the linter and the type checkers; change nothing.

scripts/check          all of them
scripts/check --fix    let ruff mend what it can first
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import environment
from checkout import ROOT, Failure, call_main, run, say

TYPED = ("databases", "tests", "examples", "benchmarks")


def main(arguments: Sequence[str]) -> int:
    """Run every tool, also after one has complained; give the exit code."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    if unknown := [word for word in arguments if word != "--fix"]:
        raise Failure(f"cannot check: {unknown[0]!r} is no option; see scripts/check --help")
    environment.enter(["dev"], __file__, arguments)
    tools = environment.python_of(environment.MAIN).parent
    if arguments:
        run([tools / "ruff", "check", "--fix", "--quiet", "."])
        run([tools / "ruff", "format", "--quiet", "."])

    checks = {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "types": ["mypy", "--strict", *(name for name in TYPED if (ROOT / name).is_dir())],
        "types of the scripts": ["mypy", "--strict", "scripts/lib"],
        # Without tests/typing pyright would look at everything.
        "public types": ["pyright", "--pythonpath", str(tools / "python"), "tests/typing"],
    }
    if not any((ROOT / "tests" / "typing").glob("*.py")):
        del checks["public types"]
    complained = []
    for name, (tool, *words) in checks.items():
        say(f"{name}: {tool} {' '.join(words)}")
        if run([tools / tool, *words]):
            complained.append(name)
    print(f"complaints: {', '.join(complained)}" if complained else "no complaints")
    return 1 if complained else 0


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
