"""Build the documentation site, and serve it or check it.

    scripts/docs [--port N]    serve it at http://127.0.0.1:8000, built anew when a page changes
    scripts/docs --check       build it strictly, run the code of its pages, open every page in
                               a headless Chromium, follow every link, and search

The site is built in site/, the environment is made in .venv. The code of the pages runs on
the servers that scripts/test would use. What is missing is installed with apt-get on a
Debian-like system where that needs no password: Chromium and the servers.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import browser
import environment
import site_walk
from checkout import ROOT, SCRIPTS, call_main, run, say
from drivers import parse_urls
from pytest_run import run_pytest
from servers import Servers

CODE_TESTS = "tests/unit/test_documentation.py"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SERVER = re.compile(r"<!-- server: (\S+) -->")


def main(arguments: Sequence[str]) -> int:
    """Do what *arguments* ask for; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/docs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="check the site")
    parser.add_argument("--port", type=int, default=8000, help="where to serve it (default: 8000)")
    request = parser.parse_args(arguments)

    environment.enter(["dev", "docs"] if request.check else ["docs"], __file__, arguments)
    python = environment.python_of(environment.MAIN)
    zensical = python.with_name("zensical")
    if request.check:
        return _check(str(zensical))
    run([python, SCRIPTS / "options_page.py"])
    return run([zensical, "serve", "--dev-addr", f"127.0.0.1:{request.port}"])


def _check(zensical: str) -> int:
    started = time.monotonic()
    program = browser.find_or_install()
    passed, failed = 0, 0
    say("building the site")
    if not _build(zensical):
        return _sum_up(passed, failed + 1, started)
    passed += 1

    # Both wait for others much of the time.
    with ThreadPoolExecutor(1) as threads:
        say("opening every page in Chromium")
        walk = threads.submit(site_walk.walk, ROOT / "site", program)
        say("running the code of the pages")
        ran, broken = _run_code()
        report = walk.result()
    for problem in report.problems:
        print(problem, flush=True)
    say(f"{report.pages} pages, {report.links} links, {report.words} searches")
    failed += broken + len(report.problems)
    passed += ran + max(0, report.pages + report.words - len(report.problems))
    return _sum_up(passed, failed, started)


def _build(zensical: str) -> bool:
    done = subprocess.run(
        [zensical, "build", "--clean", "--strict"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        # It paints what it complains about, and ends in a traceback of its own.
        print(_COLOR.sub("", done.stdout).partition("Traceback")[0], flush=True)
    return done.returncode == 0


def _run_code() -> tuple[int, int]:
    """Run the code of the pages; give how many tests passed and failed."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    schemes = {each for page in pages for each in _SERVER.findall(page.read_text("utf-8"))}
    wanted = {"aiosqlite", *parse_urls(",".join(f"{scheme}://" for scheme in schemes))}
    with Servers(wanted) as servers:
        outcome = run_pytest(
            environment.python_of(environment.MAIN),
            servers.targets,
            [CODE_TESTS, "-q", "--no-header", "-p", "no:cacheprovider"],
            servers.environment,
        )
    total = outcome.total()
    for reason, number in total.reasons.items():
        print(f"{number} skipped: {reason}", flush=True)
    # What a page shows and nobody has run is as bad as what fails.
    broken = total.failed + total.skipped
    return total.passed, max(broken, 1) if outcome.code else broken


def _sum_up(passed: int, failed: int, started: float) -> int:
    say(f"took {time.monotonic() - started:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    call_main(main, sys.argv[1:])
