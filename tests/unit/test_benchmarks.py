"""The benchmarks: every workload gives the right answer on every driver, once and briefly."""

from __future__ import annotations

import asyncio
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.answers import difference
from benchmarks.contenders import make_contender
from benchmarks.page import page
from benchmarks.processes import Spec, roster
from benchmarks.report import answers, table
from benchmarks.rounds import Outcome, Settings, contest, costs_of, measure
from benchmarks.tables import LOG
from benchmarks.worker import Worker
from benchmarks.workloads import BARS, FAMILIES, WORKLOADS, bar_of, chosen
from tests.support.drivers import DriverCase

# aiopg's own pool warns of itself, and MySQL's drivers of tables that are not there.
pytestmark = pytest.mark.filterwarnings("ignore")

RAW, TORTOISE = (each for each in roster() if each.name in ("raw", "Tortoise"))


@pytest.fixture
def contenders(driver: DriverCase, url: str) -> Iterator[dict[str, Worker]]:
    """Open the driver by hand and this library, with the tables filled."""
    backend = _backend_of(driver)
    loop = asyncio.new_event_loop()
    opened: dict[str, Worker] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name, kind in (("raw", "raw"), ("ours", "facade")):
                try:
                    worker = Worker(kind, backend, loop)
                except ImportError as error:  # psycopg's pool is a package of its own
                    pytest.skip(str(error))
                worker.open(url)
                opened[name] = worker
            opened["raw"].make_tables()
            yield opened
        finally:
            if "raw" in opened:
                opened["raw"].drop_tables()
            for worker in opened.values():
                worker.run(worker._contender.close())
            loop.close()


def test_every_workload_gives_the_drivers_own_answer(contenders: dict[str, Worker]) -> None:
    wrong: dict[str, str] = {}

    for workload in WORKLOADS.values():
        answers: dict[str, Any] = {}
        for name, worker in contenders.items():
            if workload.writes:
                contenders["raw"].clear_log()
            answers[name] = worker.answer(workload.name, 2)
            if workload.writes:
                answers[name] = [answers[name], contenders["raw"].read(LOG)]
        differs = difference(answers["ours"], answers["raw"])
        if differs is not None:
            wrong[workload.name] = differs

    assert not wrong


def test_tortoise_gives_the_drivers_own_answer_to_all_that_it_can(
    driver: DriverCase, url: str
) -> None:
    backend = _backend_of(driver)
    try:
        make_contender("raw", backend)
    except ImportError as error:  # psycopg's pool is a package of its own
        pytest.skip(str(error))
    told: list[str] = []
    settings = Settings(brief=True, tell=told.append)
    # 200 tasks that do `w2` would tell nothing new.
    workloads = [each for each in WORKLOADS.values() if each.name != "w9"]

    # In processes of their own: Tortoise keeps its state in its module.
    with contest([RAW, TORTOISE], backend, url, sys.executable, settings) as contenders:
        if told == [f"left out: Tortoise: Tortoise has no backend for {backend}"]:
            pytest.skip(told[0])
        outcomes = [measure(each, backend, contenders, settings) for each in workloads]

    assert not told
    assert [each.wrong for each in outcomes if each.wrong] == []
    assert [each.workload.name for each in outcomes if each.lacking] == ["w1h", "w6"]


def test_what_a_peer_lacks_is_left_blank_and_what_ours_lacks_is_wrong(tmp_path: Path) -> None:
    specs = [RAW, TORTOISE, Spec("ours", "tortoise")]
    url, settings = f"sqlite+aiosqlite:///{tmp_path}/bench.db", Settings(rounds=3)

    with contest(specs, "sqlite", url, sys.executable, settings) as contenders:
        outcome = measure(WORKLOADS["w6"], "sqlite", contenders, settings)

    assert set(outcome.costs) == {"raw"}
    assert list(outcome.wrong) == ["ours"]
    names = ["raw", "Tortoise", "ours"]
    assert re.search(r"rows \| +[\d,]+ \| +\| wrong \|", table([outcome], names, ["Tortoise"]))


@pytest.mark.parametrize("backend", FAMILIES)
def test_every_bar_belongs_to_a_workload(backend: str) -> None:
    bars = BARS[FAMILIES[backend]]

    assert set(bars) <= set(WORKLOADS)
    assert all(bar_of(backend, name) == bar for name, bar in bars.items())


def test_a_difference_is_told_where_it_is() -> None:
    assert difference([1, "a"], [1, "a"]) is None
    assert "instead of" in str(difference([1, "a"], [1, "b"]))


def test_ratios_are_taken_within_rounds() -> None:
    slices = {"raw": [(1.0, 1.0), (10.0, 10.0)], "ours": [(2.0, 2.0), (20.0, 20.0)]}

    assert costs_of(slices)["ours"].cpu_ratio == 2.0


def test_what_a_peer_lacks_is_blank_among_the_answers() -> None:
    outcome = Outcome(WORKLOADS["w4"], None, wrong={"ours": "no"}, lacking={"a peer"})

    text = answers([outcome], ["raw", "ours", "a peer"])

    assert text.endswith("| w4 insert, Core | right | wrong |        |")


def test_an_unknown_workload_is_named() -> None:
    with pytest.raises(ValueError, match="w99"):
        chosen("w1,w99")


def test_the_page_shows_bars_that_did_not_hold() -> None:
    cost = {"cpu": 1e-4, "wall": 1e-4, "cpu_ratio": 2.0, "wall_ratio": 2.0}
    workload = {
        "what": "insert",
        "bar": 1.0,
        "holds": False,
        "ahead_of_peers": False,
        "costs": {"raw": cost | {"cpu_ratio": 1.0}, "ours": cost},
        "wrong": {"databases 0.9.0": "ValueError: no"},
    }
    run = {"backend": "sqlite", "machine": "a machine", "versions": {"Python": "3.13"}}

    text = page([{**run, "workloads": {"w4": workload}}])

    assert "| w4 insert |     100 | 2.00 | wrong |   1 |    NO |" in text
    assert "Over the bar by more than 10% in this run: w4." in text
    assert "Behind a peer in this run: w4." in text


def test_the_page_leaves_blank_what_a_peer_lacks() -> None:
    cost = {"cpu": 1e-4, "wall": 1e-4, "cpu_ratio": 2.0, "wall_ratio": 2.0}
    common: dict[str, Any] = {"bar": None, "holds": None, "ahead_of_peers": None, "wrong": {}}
    workloads = {
        "w4": {**common, "what": "insert", "costs": {"raw": cost, "Tortoise": cost}},
        "w6": {**common, "what": "iterate", "costs": {"raw": cost}},
    }

    text = page([{"backend": "sqlite", "machine": "a machine", "workloads": workloads}])

    assert "| workload   | raw, µs | Tortoise | bar | holds |" in text
    assert "| w4 insert  |     100 |     2.00 |     |       |" in text
    assert "| w6 iterate |     100 |          |     |       |" in text


def _backend_of(driver: DriverCase) -> str:
    return "sqlite" if driver.can("file") else driver.name
