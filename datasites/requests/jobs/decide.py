"""Decide on a job: a person's signature on one execution and its log entry at once; the last it takes lets it run."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import require_not_stopped
from datasites.people.approvals import JOBS, forget_approvals, take_approval
from datasites.people.decider import Decider, decider_of
from datasites.requests.jobs.records import Job, Status, find_job, job_by_number, jobs_in, set_job_status
from datasites.requests.jobs.review import (
    APPROVABLE,
    draft_job_decision,
    job_approval_digest,
    release_rule,
    review_job,
)
from datasites.requests.jobs.tell import APPROVED, tell
from datasites.site import Site
from datasites.store.tables import jobs
from datasites.witnesses.hear import require_not_set_back
from policies.errors import ConflictError, RefusedError
from policies.jobs.decision import SignedJobDecision, SignedJobDecisions, sign_job_decision, verify_job_decisions
from policies.log.entries import LogEntry
from policies.log.job_entries import JobDecided
from policies.log.journal import append
from policies.statements.schema import as_text


def find_approvable(connection: Connection, site: Site, digest: str) -> Job | None:
    """The job whose `show` printed `digest`: one that waits for its decision, or that failed and may run once more."""
    waiting = (it for it in jobs_in(connection, *APPROVABLE) if it.code_file is not None)
    return next((it for it in waiting if job_approval_digest(connection, site, it) == digest), None)


def approve_job(connection: Connection, site: Site, digest: str, key: Ed25519PrivateKey) -> Job:
    """Approve one execution of the job whose `show` printed `digest`, as the person who holds `key`.

    It stays as it is while the house rules ask for more people.

    Raises:
        RefusedError: no job has this digest as things stand now, a rule forbids it, this person may not decide on it,
            it was revoked, or the site was set back or is stopped.
        NotAuthenticError: the key is nobody's of this site.
        ConflictError: this person approved it already.
    """
    require_not_set_back(connection)
    require_not_stopped(connection, site)
    meant = find_approvable(connection, site, digest)
    if meant is None:
        raise RefusedError(
            f"No job that waits has the digest {digest[:16]}… as things stand now; «datasite show» prints the digest "
            "of each."
        )
    require_not_revoked(connection, site, meant.digest)
    decider = decider_of(connection, site, key, meant.terms.researcher)
    shown = review_job(connection, site, meant)
    if shown.obstacles:
        raise RefusedError(f"Job {meant.number} cannot be approved: {' '.join(shown.obstacles)}")
    signed = _sign(connection, site, meant, decider, "approve", "approved as shown")
    agreed = take_approval(connection, site, JOBS, meant.digest, signed)
    if not agreed:
        return meant
    values = {"run": None, "outputs_file": None, "findings": None, "findings_seal": None, "release": None}
    telling = {"tell_at": None, "approved_at": int(site.clock() * 1000)}
    connection.execute(update(jobs).where(jobs.c.digest == meant.digest).values(values | telling))
    return _record(connection, site, meant, agreed, Status.APPROVED, APPROVED)


def deny_job(connection: Connection, site: Site, number: int, reason: str, key: Ed25519PrivateKey) -> Job:
    """Deny pending job `number`, as the person who holds `key`; its researcher reads `reason`.

    Raises:
        ConflictError: the job is not pending any more.
        RefusedError: this person may not decide on it.
        NotAuthenticError: the key is nobody's of this site.
    """
    job = job_by_number(connection, number)
    if job.status is not Status.PENDING:
        raise ConflictError(f"Job {number} is {job.status}; only a pending one can be denied.")
    decider = decider_of(connection, site, key, job.terms.researcher)
    signed = _sign(connection, site, job, decider, "deny", as_text(reason))
    forget_approvals(connection, job.digest)
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(code_file=None))
    detail = as_text(f"{decider.person.title} denied: {reason}")
    return _record(connection, site, job, (signed,), Status.DENIED, detail)


def _sign(
    connection: Connection, site: Site, job: Job, decider: Decider, verdict: str, reason: str
) -> SignedJobDecision:
    adopted = site.house_rules(connection)
    decision = draft_job_decision(
        connection,
        site,
        job,
        release=release_rule(adopted),
        house_rules=adopted.digest,
        approvals=adopted.rules.approvals.jobs,
        verdict=verdict,
        reason=reason,
        now=site.moment(connection),
    )
    signed = sign_job_decision(decider.key, decision, decider.appointment)
    entry: LogEntry = JobDecided(at=decision.decided_at, signed=signed)
    append(connection, entry)
    return signed


def _record(
    connection: Connection,
    site: Site,
    job: Job,
    signed: tuple[SignedJobDecision, ...],
    status: Status,
    detail: str,
) -> Job:
    taken = SignedJobDecisions(signed=signed)
    verify_job_decisions(taken, site.owner_key, job.terms.researcher)
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(decision=taken.canonical().decode()))
    set_job_status(connection, job.digest, status, detail)
    decided = find_job(connection, job.digest) or job
    tell(connection, decided, site.now)
    return decided
