"""What the house rules forbid of a job, and whether what a job needs is there."""

from typing import Any

import pytest

from policies.errors import InvalidInputError, RefusedError
from policies.jobs.requirements import require_packages
from policies.jobs.rules import JobRules, job_obstacles
from policies.jobs.terms import JobLimits
from tests.policies.jobs.test_terms import terms

NOW = 2_000_000_000 - 90 * 86_400
OFFERED = ("numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.8.0", "odd==not.a.version!")


def test_what_the_rules_allow_meets_no_obstacle() -> None:
    assert job_obstacles(JobRules(), terms(), NOW) == []


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
    assert job_obstacles(JobRules(), terms(limits=JobLimits(**usual)), NOW) == []
    (obstacle,) = job_obstacles(JobRules(), terms(limits=JobLimits(**(usual | limits))), NOW)
    assert word in obstacle


def test_an_approval_must_not_stay_valid_for_too_long() -> None:
    (obstacle,) = job_obstacles(JobRules(), terms(), NOW - 1)
    assert "90 days" in obstacle


def test_all_obstacles_are_said_at_once() -> None:
    limits = JobLimits(wall_seconds=4000, memory_mib=9000, disk_mib=2000)
    assert len(job_obstacles(JobRules(), terms(limits=limits), NOW - 1)) == 4


@pytest.mark.parametrize(
    "requirement",
    ["pandas", "pandas>=2", "Pandas==3.1.1", "pandas[excel]>=3,<4", "scikit_learn", 'torch; python_version<"3"'],
)
def test_what_is_there_may_be_asked_for(requirement: str) -> None:
    require_packages([requirement], OFFERED)


@pytest.mark.parametrize("requirement", ["torch", "pandas>=4", "pandas==2.0", "odd", "numpy<2"])
def test_what_is_not_there_is_refused_with_the_list(requirement: str) -> None:
    with pytest.raises(RefusedError) as refused:
        require_packages(["pandas", requirement], OFFERED)
    assert requirement in str(refused.value)
    assert "pandas==3.1.1" in str(refused.value)


@pytest.mark.parametrize("requirement", ["pandas @ https://evil.example/p.whl", "pandas=2", "a b", "-r other.txt"])
def test_what_pip_would_fetch_from_elsewhere_or_not_understand_is_invalid(requirement: str) -> None:
    with pytest.raises(InvalidInputError):
        require_packages([requirement], OFFERED)
