"""Each operation on each driver, cancelled at each of its suspensions."""

from __future__ import annotations

import pytest

from tests.faults.operations import OPERATIONS, Operation
from tests.faults.score import Score
from tests.faults.sweep import Mode, Sweep
from tests.support.outside import Outside

MODES = [
    Mode.WAITING,
    Mode.ARRIVED,
    pytest.param(Mode.ANSWERED, marks=pytest.mark.thorough),
    pytest.param(Mode.TWICE, marks=pytest.mark.thorough),
    pytest.param(Mode.GOING_ON, marks=pytest.mark.thorough),
]

SHOWN = 6
"""Unclean points that are told in full."""

pytestmark = pytest.mark.time_limit(300)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value.replace(" ", "_"))
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_cancelled_at_every_suspension(
    outside: Outside, operation: Operation, mode: Mode, score: Score
) -> None:
    result = Sweep(outside, operation, mode).run()

    unclean = result.unclean
    score.swept(outside.case.name, operation.name, len(result.points), len(unclean))
    report = "\n   ".join(str(point) for point in unclean[:SHOWN])
    assert not unclean, (
        f"{outside.case.name}: {operation} cancelled in mode {mode.value!r}: "
        f"{len(result.points) - len(unclean)} of {len(result.points)} points are clean\n   {report}"
    )
