"""Every Python block of the README and the documentation, executed.

The blocks of one page run in order and share their names, on an event loop
that outlives them; they may await at top level, as in `python -m asyncio`. A
```text block right after a Python block is what that block prints.

A comment above a block changes this:

    <!-- not run: reason -->    only its syntax is checked
    <!-- file: NAME -->         written to a file; test files are run with pytest
    <!-- server: SCHEME -->     run if TEST_DATABASE_URLS has a URL of SCHEME;
                                SCHEME://localhost/example in it means that URL
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import os
import re
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from databases import Database, errors
from tests.support.drivers import ENVIRONMENT_VARIABLE, load_drivers

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)``` *$",
    re.MULTILINE | re.DOTALL,
)
PYTHON = ("python", "py", "python3")
LANGUAGES = {*PYTHON, "ini", "json", "shell", "sql", "text", "toml", "yaml"}
"""What a block may be: Python, which is run, or something that cannot be."""
MARK = re.compile(r"<!-- (?P<kind>not run|file|server): (?P<value>.+?) -->\s*\Z")
LINK = re.compile(r"""(?:\[[^\]]+\]\(|src=")(?P<target>[^)"\s]+)[)"]""")


@dataclass(frozen=True)
class Block:
    """One Python block of a page."""

    path: Path
    line: int
    source: str
    kind: str
    """"run", or the word of the comment above the block."""
    value: str
    """What follows that word."""
    output: str | None
    """What the page says it prints; None where the page does not say."""

    @property
    def where(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def compile(self, source: str | None = None) -> CodeType:
        # Empty lines in front: a traceback names the line of the page.
        text = "\n" * self.line + (self.source if source is None else source)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(text, str(self.path), "exec", flags=flags, dont_inherit=True)
        return code


def read_blocks(path: Path) -> list[Block]:
    """Read the Python blocks of the page at *path*, in order."""
    page = path.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(page))
    blocks = []
    for number, fence in enumerate(fences):
        if fence["language"] not in PYTHON:
            continue
        mark = MARK.search(page, 0, fence.start())
        following = fences[number + 1] if number + 1 < len(fences) else None
        shown = None
        if (
            following
            and following["language"] == "text"
            and not page[fence.end() : following.start()].strip()
        ):
            shown = textwrap.dedent(following["text"])
        blocks.append(
            Block(
                path=path,
                line=page.count("\n", 0, fence.start()) + 1,
                source=textwrap.dedent(fence["text"]),
                kind=mark["kind"] if mark else "run",
                value=mark["value"].strip() if mark else "",
                output=shown,
            )
        )
    return blocks


BLOCKS = [block for path in PAGES for block in read_blocks(path)]


def server_url(scheme: str) -> str | None:
    """Give the URL of *scheme* among the servers under test, if there is one."""
    urls = [case.url for case in load_drivers()]
    return next((url for url in urls if url.startswith(f"{scheme}:")), None)


class Reader:
    """Somebody who types the blocks of a page, one after the other."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._loop = asyncio.new_event_loop()
        self._log = logging.getLogger("databases")
        self._level, self._handlers = self._log.level, list(self._log.handlers)

    def run(self, code: CodeType) -> None:
        """Run *code*; await what it awaits."""
        if code.co_flags & inspect.CO_COROUTINE:
            self._loop.run_until_complete(eval(code, self.names))
        else:
            exec(code, self.names)

    def close(self) -> None:
        """Disconnect what the page left connected, end the loop, set the log back."""
        self._log.setLevel(self._level)
        self._log.handlers[:] = self._handlers
        for value in list(self.names.values()):
            if isinstance(value, Database) and value.is_connected:
                self._loop.run_until_complete(value.disconnect())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        left = asyncio.all_tasks(self._loop)
        self._loop.close()
        assert not left


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    reader = Reader()
    yield reader
    reader.close()


def name_of(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_blocks_of_page_run_and_print_what_it_says(
    path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in (block for block in BLOCKS if block.path == path and block.kind == "run"):
        reader.run(block.compile())

        printed = capsys.readouterr().out
        if block.output is not None:
            assert printed.strip() == block.output.strip(), block.where


SERVER_BLOCKS = [block for block in BLOCKS if block.kind == "server"]


@pytest.mark.parametrize("block", SERVER_BLOCKS, ids=[block.where for block in SERVER_BLOCKS])
def test_block_that_needs_a_server_runs(
    block: Block, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server_url(block.value)
    if url is None:
        pytest.skip(f"{ENVIRONMENT_VARIABLE} has no URL of {block.value}")
    assert f"{block.value}://localhost/example" in block.source

    reader.run(block.compile(block.source.replace(f"{block.value}://localhost/example", url)))

    if block.output is not None:
        assert capsys.readouterr().out.strip() == block.output.strip()


FILE_PAGES = sorted({block.path for block in BLOCKS if block.kind == "file"})


@pytest.mark.parametrize("path", FILE_PAGES, ids=name_of)
def test_files_of_page_run_and_their_tests_pass(path: Path, tmp_path: Path) -> None:
    names = []
    for block in (block for block in BLOCKS if block.path == path and block.kind == "file"):
        (tmp_path / block.value).write_text(block.source, encoding="utf-8")
        names.append(block.value)

    tests = [name for name in names if name.startswith("test_")]
    # Processes of their own: a page's fixtures and modules must not meet ours.
    pytest_command = ["-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function"]
    if not entry_points(group="pytest11", name="databases"):  # run from a bare checkout
        pytest_command += ["-p", "databases.testing.plugin"]
    commands = [[*pytest_command, *tests]] if tests else []
    commands += [[name] for name in names if name not in tests and name != "conftest.py"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr


def test_blocks_that_are_not_run_are_python() -> None:
    for block in BLOCKS:
        block.compile()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_block_of_page_is_known_to_these_tests(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(page))

    # What is left of the page has no fence that FENCE did not understand.
    assert not re.search(r"^\s*(```|~~~)", FENCE.sub("", page), re.MULTILINE)
    for fence in fences:
        assert fence["language"] in LANGUAGES, fence[0]
    # Output that nobody compares is not shown as if it were.
    unseen = [block for block in BLOCKS if block.path == path and block.kind in ("not run", "file")]
    assert [block.where for block in unseen if block.output is not None] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_programs_that_page_runs_are_in_the_checkout(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    shell = "".join(each["text"] for each in FENCE.finditer(page) if each["language"] == "shell")

    programs = re.findall(r"(?:scripts|examples|benchmarks)/[\w./-]+", shell)

    assert [program for program in programs if not (ROOT / program).exists()] == []


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_inside_the_documentation_lead_somewhere(path: Path) -> None:
    targets = [link["target"] for link in LINK.finditer(path.read_text(encoding="utf-8"))]

    missing = [
        target
        for target in targets
        if not re.match(r"[a-z]+:|#", target)
        and not (path.parent / target.partition("#")[0]).exists()
    ]

    assert missing == []


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    lines = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").splitlines()
    named = re.findall(r"(\S+\.md)$", "\n".join(lines[lines.index("nav:") :]), re.MULTILINE)

    pages = sorted(str(path.relative_to(ROOT / "docs")) for path in PAGES[1:])

    assert sorted(named) == pages


def test_page_of_options_is_what_its_script_writes() -> None:
    render = runpy.run_path(str(ROOT / "scripts" / "lib" / "options_page.py"))["render"]

    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")

    assert page == render(), "run scripts/lib/options_page.py with the Python of the tests"


@pytest.mark.parametrize("name", errors.__all__)
def test_error_has_its_place_on_the_page_of_errors(name: str) -> None:
    assert f"\n## {name}\n" in (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


MODULES = [
    path
    for path in sorted((ROOT / "databases").rglob("*.py"))
    if path.name != "__init__.py" and path.parent.name not in ("dialects", "compilers")
]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_its_line_on_the_page_of_the_architecture(path: Path) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert re.search(rf"^\|.*`(\w+/)*{path.name}`.*\|", page, re.MULTILINE)
