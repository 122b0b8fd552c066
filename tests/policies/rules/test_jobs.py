"""What the house rules forbid of a job."""

from typing import Any

import pytest

from policies.jobs.terms import JobLimits, JobTerms
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, DataSetRules, HouseRules, parse_house_rules
from policies.rules.jobs import AskedJob, job_obstacles
from tests.policies.jobs.test_terms import terms

NOW = 2_000_000_000 - 90 * 86_400
DEFAULT = parse_house_rules(DEFAULT_HOUSE_RULES.encode())


def obstacles(asked: JobTerms, now: int = NOW, rules: HouseRules = DEFAULT, **changes: Any) -> list[str]:
    usual: dict[str, Any] = {"terms": asked, "about": asked.data_sets, "waiting_since": now}
    return job_obstacles(rules, AskedJob(**(usual | changes)), now)


def test_what_the_rules_allow_meets_no_obstacle() -> None:
    assert obstacles(terms()) == []


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"wall_seconds": 3601}, "3601 s"),
        ({"memory_mib": 8193}, "8193 MiB of memory"),
        ({"disk_mib": 1025}, "write 1025 MiB"),
    ],
)
def test_each_limit_beyond_the_rules_is_an_obstacle(limits: dict[str, Any], word: str) -> None:
    usual = {"wall_seconds": 3600, "memory_mib": 8192, "disk_mib": 1024}
    assert obstacles(terms(limits=JobLimits(**usual))) == []
    (obstacle,) = obstacles(terms(limits=JobLimits(**(usual | limits))))
    assert word in obstacle


def test_an_approval_must_not_stay_valid_for_too_long() -> None:
    (obstacle,) = obstacles(terms(), NOW - 1)
    assert "90 days" in obstacle


def test_all_obstacles_are_said_at_once() -> None:
    limits = JobLimits(wall_seconds=4000, memory_mib=9000, disk_mib=2000)
    assert len(obstacles(terms(limits=limits), NOW - 1)) == 4


def test_what_waits_too_long_is_not_approved_and_what_was_decided_on_before_may_be_again() -> None:
    waiting = {"waiting_since": NOW - 90 * 86_400}
    (obstacle,) = obstacles(terms(), **waiting)
    assert "within the 90 days" in obstacle
    assert obstacles(terms(), waiting_since=None) == []


def test_data_that_no_code_may_see_closes_all_files_about_its_people() -> None:
    closed = DEFAULT.model_copy(update={"data_sets": {"tumours": DataSetRules(jobs=False)}})
    assert obstacles(terms(), rules=closed) == []
    (obstacle,) = obstacles(terms(), rules=closed, about=(*terms().data_sets, "tumours"))
    assert "«tumours»" in obstacle


def test_only_who_is_listed_may_ask() -> None:
    (obstacle,) = obstacles(terms(), rules=DEFAULT.model_copy(update={"researchers": ("0f" * 32,)}))
    assert "not among those" in obstacle
    assert obstacles(terms(), rules=DEFAULT.model_copy(update={"researchers": (terms().researcher,)})) == []
