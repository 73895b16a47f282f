"""The example service `examples/bookings`, with tests of its own."""

from __future__ import annotations

import pytest

from tests.kit.conftest import ROOT, Project


@pytest.mark.usefixtures("first_driver_of_its_server")
def test_tests_of_the_bookings_service_pass(project: Project) -> None:
    words = [*project.named_plugins(), "-p", "no:cacheprovider", f"{ROOT}/examples/bookings"]

    result = project.pytester.runpytest_subprocess(*words, timeout=100)

    result.assert_outcomes(passed=11)
