"""A walk through the built site in a real browser: links, anchors, images, errors, search."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser import Browser, describe

WORDS = ("savepoint", "fetch_all", "PoolTimeoutError", "max_size", "pydantic", "SERIALIZABLE")
"""What a reader may look for; every one of them must be found."""

_ASK = """({
  links: [...document.querySelectorAll('a[href], area[href]')].map(link => link.href),
  anchors: [...document.querySelectorAll('[id], a[name]')].map(each => each.id || each.name),
  broken: [...document.images].filter(each => !each.naturalWidth).map(each => each.src),
})"""
# The field and the results of the search are in a shadow root, made on demand.
_OPEN_SEARCH = """(async () => {
  document.querySelector('.md-search__button').click();
  const hosts = () => [...document.querySelectorAll('*')].filter(each => each.shadowRoot);
  for (let turn = 0; turn < 200; turn++) {
    const host = hosts().find(each => each.shadowRoot.querySelector('input'));
    if (host) {
      window.search = host.shadowRoot;
      window.search.querySelector('input').focus();
      return true;
    }
    await new Promise(resume => setTimeout(resume, 25));
  }
  return false;
})()"""
_FOUND = """(async () => {
  for (let turn = 0; turn < 200; turn++) {
    const links = [...window.search.querySelectorAll('a[href]')].map(each => each.href);
    if (links.length) return links;
    await new Promise(resume => setTimeout(resume, 25));
  }
  return [];
})()"""


@dataclass
class Report:
    """What the walk saw, and what is wrong with it."""

    pages: int = 0
    links: int = 0
    words: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Page:
    """What one page has."""

    links: list[str]
    anchors: set[str]


def walk(site: Path, program: str) -> Report:
    """Open every page of *site* in the browser *program*, follow its links, search."""
    report = Report()
    with _served(site) as origin, Browser(program) as browser:
        pages: dict[str, Page] = {}
        for path in sorted(site.rglob("*.html")):
            name = path.relative_to(site).as_posix()
            pages[name] = _visit(browser, origin, name, report)
        for name, page in pages.items():
            _follow(name, page, pages, site, origin, report)
        for word in WORDS:
            _search(browser, origin, word, pages, report)
    return report


@contextmanager
def _served(site: Path) -> Iterator[str]:
    handler = functools.partial(_QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return None


def _visit(browser: Browser, origin: str, name: str, report: Report) -> Page:
    browser.open(origin + name)
    told = browser.evaluate(_ASK)
    _hear(browser, origin, name, report)
    report.pages += 1
    report.problems += [f"{name}: the image {source} does not show" for source in told["broken"]]
    return Page(told["links"], set(told["anchors"]))


def _hear(browser: Browser, origin: str, name: str, report: Report) -> None:
    """Note the errors of the page, and what it asked other hosts for."""
    for event in browser.take_events():
        problem = _problem(event["method"], event["params"], origin)
        if problem:
            report.problems.append(f"{name}: {problem}")


def _problem(method: str, params: dict[str, Any], origin: str) -> str | None:
    if method == "Runtime.exceptionThrown":
        return f"an exception: {describe(params['exceptionDetails'])}"
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
        said = " ".join(str(each.get("value", each.get("description"))) for each in params["args"])
        return f"an error on the console: {said}"
    if method == "Log.entryAdded" and params["entry"]["level"] == "error":
        entry = params["entry"]
        return f"an error in the log: {entry['text']} {entry.get('url', '')}"
    if method == "Network.requestWillBeSent":
        url = params["request"]["url"]
        if not url.startswith((origin, "data:", "blob:")):
            return f"it asks another host for {url}"
    return None


def _follow(
    name: str, page: Page, pages: dict[str, Page], site: Path, origin: str, report: Report
) -> None:
    for link in dict.fromkeys(page.links):
        if not link.startswith(origin):
            if not link.startswith(("http:", "https:", "mailto:")):
                report.problems.append(f"{name}: the link {link} leads nowhere")
            continue
        report.links += 1
        path, _, anchor = link.removeprefix(origin).partition("#")
        path = urllib.parse.unquote(path.partition("?")[0]) or "index.html"
        target = pages.get(path)
        if target is None:
            if not (site / path).is_file():
                report.problems.append(f"{name}: there is no {path}, to which it links")
        elif anchor and urllib.parse.unquote(anchor) not in target.anchors:
            report.problems.append(f"{name}: {path} has no anchor #{anchor}, to which it links")


def _search(
    browser: Browser, origin: str, word: str, pages: dict[str, Page], report: Report
) -> None:
    browser.open(origin + "index.html")
    report.words += 1
    found: list[str] = []
    if browser.evaluate(_OPEN_SEARCH):
        # A search without a word shows nothing, so what is shown was found.
        browser.call("Input.insertText", text=word)
        found = browser.evaluate(_FOUND)
    if not found:
        report.problems.append(f"the search finds nothing for {word!r}")
    for link in found:
        path = urllib.parse.urlsplit(link).path.removeprefix("/") or "index.html"
        if path not in pages:
            report.problems.append(f"the search for {word!r} leads to {path}, which is not there")
    if found:
        _look_for(browser, found[0], word, report)
    _hear(browser, origin, f"the search for {word!r}", report)


def _look_for(browser: Browser, link: str, word: str, report: Report) -> None:
    """Check that the first page found has the word on it."""
    limit = time.monotonic() + 5
    browser.open(link)
    is_there = f"document.body.innerText.toLowerCase().includes({json.dumps(word.lower())})"
    while not browser.evaluate(is_there):
        if time.monotonic() > limit:
            report.problems.append(f"the search for {word!r} leads to {link}, which has it not")
            return
        time.sleep(0.05)
