"""The rows on jobs say what was measured, in their own units."""

import pytest

from tests.benchmarks.job_rows import add_costs, add_times
from tests.benchmarks.jobs import JobTimes
from tests.benchmarks.private_file import Costs
from tests.benchmarks.table import ROWS, Measured, as_json

SMALL = Costs(1.5, 0.0100, 60_000_000, 90_000_000, 450_000_000)
LARGE = Costs(4.0, 0.0104, 61_000_000, 90_500_000, 457_000_000)


def entries(measured: Measured) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in as_json(ROWS, measured, {})["rows"]}


def test_series_become_medians_in_their_units_with_their_spread():
    measured = Measured()
    add_times(JobTimes([0.020, 0.030, 0.022], [0.7, 0.9], [0.4, 0.6, 0.45], 8.5, 300_000_000, 40_000_000), measured)
    found = entries(measured)
    assert (found["job-warm"]["median"], found["job-warm"]["unit"], found["job-warm"]["met"]) == (22.0, "ms", True)
    assert found["job-warm"]["notes"] == {"least": 20, "most": 30, "zygote MB": 300, "a job beside it MB": 40}
    assert (found["job-cold"]["median"], found["job-cold"]["met"]) == (0.8, True)
    assert (found["job-whole"]["median"], found["job-whole"]["met"]) == (0.45, True)
    assert found["job-whole"]["notes"]["the first one, cold, s"] == 8.5


def test_a_large_file_costs_what_it_takes_beyond_a_small_one_at_the_worst_moment():
    measured = Measured()
    add_costs(SMALL, LARGE, measured)
    found = entries(measured)
    assert found["file-sync"]["median"] == pytest.approx(0.4)
    assert (found["file-memory"]["median"], found["file-memory"]["met"]) == (7.0, True)
    assert found["file-memory"]["notes"]["registration s"] == 4.0
