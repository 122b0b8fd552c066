"""The owner's standing rules on jobs, and what of a job's terms they forbid."""

from typing import Annotated

from pydantic import Field

from policies.disclosure.rules import DisclosureRules
from policies.jobs.terms import MAXIMUM_DISK_MIB, JobTerms
from policies.statements.schema import StrictModel


class JobRules(StrictModel):
    """The section `[jobs]` of the house rules: the most that one execution may use, and what happens to its outputs."""

    maximum_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    maximum_memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 8192
    maximum_disk_mib: Annotated[int, Field(ge=1, le=MAXIMUM_DISK_MIB)] = 1024
    maximum_days: Annotated[int, Field(ge=1, le=3650)] = 90
    release_clean: bool = False
    """Whether outputs leave at once when their inspection finds nothing to hold; said in each approval."""

    outputs: DisclosureRules = DisclosureRules()


def job_obstacles(rules: JobRules, terms: JobTerms, now: int) -> list[str]:
    """What of the terms the rules forbid, a sentence each; `now` in seconds since 1970."""
    limits = terms.limits
    checks = (
        (
            limits.wall_seconds <= 60 * rules.maximum_minutes,
            f"the job may run for {limits.wall_seconds} s; the house rules allow {rules.maximum_minutes} minutes",
        ),
        (
            limits.memory_mib <= rules.maximum_memory_mib,
            f"the job may use {limits.memory_mib} MiB of memory; the house rules allow {rules.maximum_memory_mib}",
        ),
        (
            limits.disk_mib <= rules.maximum_disk_mib,
            f"the job may write {limits.disk_mib} MiB; the house rules allow {rules.maximum_disk_mib}",
        ),
        (
            terms.expires_at <= now + rules.maximum_days * 86_400,
            f"the approval would stay valid for more than the {rules.maximum_days} days that the house rules allow",
        ),
    )
    return [f"The house rules forbid this job: {reason}." for holds, reason in checks if not holds]
