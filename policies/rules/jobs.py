"""What of a job the house rules forbid: its limits, the data that it would see, who asks, how long it has waited."""

from dataclasses import dataclass

from policies.jobs.terms import JobTerms
from policies.rules.data_sets import demands
from policies.rules.house_rules import HouseRules
from policies.rules.requests import Check, broken, shared_checks


@dataclass(frozen=True)
class AskedJob:
    """A job as a site's rules see it; `about` are the sets of files in view, and the data sets of the same people."""

    terms: JobTerms
    about: tuple[str, ...]
    waiting_since: int | None
    """When it came, in seconds since 1970, if nobody has ever decided on it."""


def job_obstacles(rules: HouseRules, asked: AskedJob, now: int) -> list[str]:
    """What of the job the rules forbid, a sentence each; `now` in seconds since 1970."""
    limits, own = asked.terms.limits, rules.jobs
    closed = demands(rules, asked.about).closed_to_jobs
    checks: tuple[Check, ...] = (
        (not closed, f"no code sees {' or '.join(f'«{name}»' for name in closed)}, or files about the same people"),
        (
            limits.wall_seconds <= 60 * own.maximum_minutes,
            f"the job may run for {limits.wall_seconds} s; the house rules allow {own.maximum_minutes} minutes",
        ),
        (
            limits.memory_mib <= own.maximum_memory_mib,
            f"the job may use {limits.memory_mib} MiB of memory; the house rules allow {own.maximum_memory_mib}",
        ),
        (
            limits.disk_mib <= own.maximum_disk_mib,
            f"the job may write {limits.disk_mib} MiB; the house rules allow {own.maximum_disk_mib}",
        ),
        *shared_checks(
            rules, asked.terms.researcher, asked.waiting_since, asked.terms.expires_at, own.maximum_days, now
        ),
    )
    return broken(checks, "job")
