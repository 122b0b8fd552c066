"""What the owner is shown about a job, and the digest that an approval of exactly that must name."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from datasites.protocol.identity import IdentityCard
from datasites.requests.contacts import accepted_contact
from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.earlier import job_difference
from datasites.requests.jobs.records import Job
from datasites.requests.look_through import job_findings
from datasites.sandbox.messages import MOST_SHOWN
from datasites.site import Site
from datasites.store.file_sets import FileSet, find_file_set
from datasites.store.peers import require_card
from policies.jobs.decision import DataSetSnapshot, JobDecision, Release
from policies.jobs.rules import job_obstacles
from policies.review.differences import Difference
from policies.review.findings import Findings
from policies.review.job_summary import summarise_job


@dataclass(frozen=True)
class JobReview:
    """A job in the light of this site: what it says and changes, what it would see, and what stands against it.

    `difference` is None where nothing of its researcher was approved before, `findings` once the code is not kept.
    """

    job: Job
    researcher: IdentityCard
    contact: str | None
    code: Mapping[str, bytes]
    file_sets: tuple[FileSet, ...]
    release: Release
    summary: str
    difference: Difference | None
    findings: Findings | None
    obstacles: tuple[str, ...]
    approval_digest: str


def review_job(connection: Connection, site: Site, job: Job) -> JobReview:
    """Put together everything that a decision on `job` rests on.

    Raises:
        NotAuthenticError: what is stored is not what was received.
        InvalidInputError: the house rules cannot be read.
    """
    researcher = require_card(connection, job.sender)
    file_sets = tuple(it for name in job.terms.data_sets if (it := find_file_set(connection, name)) is not None)
    release = release_rule(site)
    code = code_of(site, job) if job.code_file is not None else None
    return JobReview(
        job=job,
        researcher=researcher,
        contact=accepted_contact(connection, job.sender),
        code=code or {},
        file_sets=file_sets,
        release=release,
        summary=summarise_job(job.terms, researcher.name, release),
        difference=job_difference(connection, site, job, code),
        findings=None if code is None else job_findings(code),
        obstacles=_obstacles(site, job, file_sets),
        approval_digest=job_approval_digest(connection, site, job),
    )


def release_rule(site: Site) -> Release:
    """Whether the house rules let clean outputs go by themselves, as they stand at this moment."""
    return "clean" if site.house_rules().jobs.release_clean else "by-hand"


def job_approval_digest(connection: Connection, site: Site, job: Job) -> str:
    """The digest of everything that an approval of the job's next execution covers, as things stand now."""
    release = release_rule(site)
    draft = draft_job_decision(
        connection, site, job, attempt=job.attempt + 1, release=release, verdict="approve", reason="as shown", now=0
    )
    return draft.subject()


def draft_job_decision(
    connection: Connection,
    site: Site,
    job: Job,
    *,
    attempt: int,
    release: Release,
    verdict: str,
    reason: str,
    now: int,
) -> JobDecision:
    """The decision over an execution of `job`; its `subject()` does not depend on verdict, reason or time.

    Data sets that are not there any more are left out: an approval of that is refused as an obstacle.
    """
    found = (find_file_set(connection, name) for name in job.terms.data_sets)
    snapshots = tuple(
        DataSetSnapshot(name=it.name, commitment=it.commitment, population=it.population)
        for it in found
        if it is not None
    )
    return JobDecision.model_validate(
        {
            "version": "cloister-job-decision/1",
            "site": site.identity.party,
            "request": job.digest,
            "attempt": attempt,
            "data_sets": snapshots,
            "limits": job.terms.limits,
            "outputs": () if job.dry_run is None else job.dry_run.outputs,
            "release": release,
            "expires_at": job.terms.expires_at,
            "verdict": verdict,
            "reason": reason,
            "decided_at": now,
        }
    )


def _obstacles(site: Site, job: Job, file_sets: tuple[FileSet, ...]) -> tuple[str, ...]:
    found = []
    if job.terms.expires_at <= site.now:
        found.append("The job has expired.")
    missing = set(job.terms.data_sets) - {it.name for it in file_sets}
    if missing:
        found.append(f"There is no set of files {', '.join(sorted(missing))} any more.")
    files = sum(len(it.card.private) for it in file_sets)
    if files > MOST_SHOWN:
        found.append(f"The job would see {files} private files; at most {MOST_SHOWN} can be shown to one.")
    return (*found, *job_obstacles(site.house_rules().jobs, job.terms, site.now))
