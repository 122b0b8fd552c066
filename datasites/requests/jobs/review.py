"""What the owner is shown about a job, and the digest that an approval of exactly that must name."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from datasites.people.approvals import JOBS, Approvals, approvals_of, approvals_taken
from datasites.protocol.identity import IdentityCard
from datasites.requests.asked import asked_job
from datasites.requests.contacts import accepted_contact
from datasites.requests.jobs.code import code_of
from datasites.requests.jobs.earlier import job_difference
from datasites.requests.jobs.records import Job, Status
from datasites.requests.jobs.release import release_approvals, waiting_digest
from datasites.requests.look_through import job_findings
from datasites.requests.rules_file import file_obstacle
from datasites.sandbox.messages import MOST_SHOWN
from datasites.site import Site
from datasites.store.adopted_rules import Adopted
from datasites.store.file_sets import FileSet, find_file_set
from datasites.store.peers import require_card
from policies.jobs.decision import DataSetSnapshot, JobDecision, Release
from policies.review.differences import Difference
from policies.review.findings import Findings
from policies.review.job_summary import summarise_job
from policies.rules.jobs import job_obstacles

APPROVABLE = (Status.PENDING, Status.FAILED)
"""Where a job stands whose next execution may be approved, if its code is kept."""


@dataclass(frozen=True)
class JobReview:
    """A job in the light of this site: what it says and changes, what it would see, and what stands against it.

    `difference` is None where nothing of its researcher was approved before, `findings` once the code is not kept.
    `approvals` says who approved its next execution so far, or took the decision on its newest; the
    others who said so far that its outputs go, without and with what it printed.
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
    approvals: Approvals
    release_approvals: Approvals
    release_approvals_with_logs: Approvals
    release_digest: str | None
    release_digest_with_logs: str | None
    now: int


def review_job(connection: Connection, site: Site, job: Job) -> JobReview:
    """Put together everything that a decision on `job` rests on.

    Raises:
        NotAuthenticError: what is stored is not what was received, or not what the owner adopted.
        RefusedError: the owner has adopted no house rules.
    """
    researcher = require_card(connection, job.sender)
    file_sets = tuple(it for name in job.terms.data_sets if (it := find_file_set(connection, name)) is not None)
    adopted, now = site.house_rules(connection), site.moment(connection)
    release = release_rule(adopted)
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
        obstacles=_obstacles(connection, site, job, file_sets, adopted, now),
        approval_digest=job_approval_digest(connection, site, job),
        approvals=job_approvals(connection, site, job),
        release_approvals=release_approvals(connection, site, job, logs=False),
        release_approvals_with_logs=release_approvals(connection, site, job, logs=True),
        release_digest=waiting_digest(connection, site, job, logs=False),
        release_digest_with_logs=waiting_digest(connection, site, job, logs=True),
        now=now,
    )


def release_rule(adopted: Adopted) -> Release:
    """Whether the rules let clean outputs go by themselves."""
    return "clean" if adopted.rules.jobs.release_clean else "by-hand"


def job_approval_digest(connection: Connection, site: Site, job: Job) -> str:
    """The digest of everything that an approval of the job's next execution covers, as things stand now."""
    adopted = site.house_rules(connection)
    draft = draft_job_decision(
        connection,
        site,
        job,
        release=release_rule(adopted),
        house_rules=adopted.digest,
        approvals=adopted.rules.approvals.jobs,
        verdict="approve",
        reason="as shown",
        now=0,
    )
    return draft.subject()


def job_approvals(connection: Connection, site: Site, job: Job) -> Approvals:
    """Who approved the next execution of `job` so far as things stand now, or took the decision on its newest."""
    if job.status not in APPROVABLE and job.decision is not None:
        return approvals_taken(site, JOBS, job.decision.signed)
    subject = job_approval_digest(connection, site, job)
    return approvals_of(connection, site, JOBS, subject, site.house_rules(connection).rules.approvals.jobs)


def draft_job_decision(
    connection: Connection,
    site: Site,
    job: Job,
    *,
    release: Release,
    house_rules: str,
    approvals: int,
    verdict: str,
    reason: str,
    now: int,
) -> JobDecision:
    """The decision over the next execution of `job`, under the rules of this digest.

    Its `subject()` does not depend on verdict, reason or time.
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
            "attempt": job.attempt + 1,
            "data_sets": snapshots,
            "limits": job.terms.limits,
            "outputs": () if job.dry_run is None else job.dry_run.outputs,
            "release": release,
            "house_rules": house_rules,
            "expires_at": job.terms.expires_at,
            "approvals": approvals,
            "verdict": verdict,
            "reason": reason,
            "decided_at": now,
        }
    )


def _obstacles(
    connection: Connection, site: Site, job: Job, file_sets: tuple[FileSet, ...], adopted: Adopted, now: int
) -> tuple[str, ...]:
    found = []
    if job.terms.expires_at <= now:
        found.append("The job has expired.")
    if (changed := file_obstacle(site, adopted)) is not None:
        found.append(changed)
    missing = set(job.terms.data_sets) - {it.name for it in file_sets}
    if missing:
        found.append(f"There is no set of files {', '.join(sorted(missing))} any more.")
    files = sum(len(it.card.private) for it in file_sets)
    if files > MOST_SHOWN:
        found.append(f"The job would see {files} private files; at most {MOST_SHOWN} can be shown to one.")
    return (*found, *job_obstacles(adopted.rules, asked_job(connection, job, file_sets), now))
