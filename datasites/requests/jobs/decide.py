"""Decide on a job: the owner's signature on one execution, the log entry and the researcher's answer, at once."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.protocol.owner_key import require_owner_key
from datasites.requests.jobs.records import Job, Status, find_job, job_by_number, jobs_in, set_job_status
from datasites.requests.jobs.review import draft_job_decision, job_approval_digest, release_rule, review_job
from datasites.requests.jobs.tell import APPROVED, tell
from datasites.site import Site
from datasites.store.tables import jobs
from datasites.witnesses.hear import require_not_set_back
from policies.errors import ConflictError, RefusedError
from policies.jobs.decision import sign_job_decision
from policies.log.entries import LogEntry
from policies.log.job_entries import JobDecided
from policies.log.journal import append
from policies.statements.schema import as_text

_APPROVABLE = (Status.PENDING, Status.FAILED)


def find_approvable(connection: Connection, site: Site, digest: str) -> Job | None:
    """The job whose `show` printed `digest`: one that waits for its decision, or that failed and may run once more."""
    waiting = (it for it in jobs_in(connection, *_APPROVABLE) if it.code_file is not None)
    return next((it for it in waiting if job_approval_digest(connection, site, it) == digest), None)


def approve_job(connection: Connection, site: Site, digest: str, owner_key: Ed25519PrivateKey) -> Job:
    """Approve one execution of the job whose `show` printed `digest`.

    Raises:
        RefusedError: no job has this digest as things stand now, a rule forbids it, or the site was set back.
        NotAuthenticError: the key is not this datasite's owner's.
    """
    require_not_set_back(connection)
    meant = find_approvable(connection, site, digest)
    if meant is None:
        raise RefusedError(
            f"No job that waits has the digest {digest[:16]}… as things stand now; «datasite show» prints the digest "
            "of each."
        )
    shown = review_job(connection, site, meant)
    if shown.obstacles:
        raise RefusedError(f"Job {meant.number} cannot be approved: {' '.join(shown.obstacles)}")
    connection.execute(
        update(jobs)
        .where(jobs.c.digest == meant.digest)
        .values(run=None, outputs_file=None, findings=None, findings_seal=None, release=None, tell_at=None)
    )
    return _decide(connection, site, meant, owner_key, "approve", "approved as shown", APPROVED)


def deny_job(connection: Connection, site: Site, number: int, reason: str, owner_key: Ed25519PrivateKey) -> Job:
    """Deny pending job `number`; its researcher reads `reason`.

    Raises:
        ConflictError: the job is not pending any more.
    """
    job = job_by_number(connection, number)
    if job.status is not Status.PENDING:
        raise ConflictError(f"Job {number} is {job.status}; only a pending one can be denied.")
    return _decide(connection, site, job, owner_key, "deny", as_text(reason), as_text(f"The owner denied: {reason}"))


def _decide(
    connection: Connection,
    site: Site,
    job: Job,
    owner_key: Ed25519PrivateKey,
    verdict: str,
    reason: str,
    detail: str,
) -> Job:
    require_owner_key(owner_key, site.identity.card)
    now = site.now
    decision = draft_job_decision(
        connection,
        site,
        job,
        attempt=job.attempt + 1,
        release=release_rule(site),
        verdict=verdict,
        reason=reason,
        now=now,
    )
    signed = sign_job_decision(owner_key, decision)
    values: dict[str, object] = {"decision": signed.canonical().decode()}
    if verdict == "approve":
        values["approved_at"] = int(site.clock() * 1000)
    else:
        values["code_file"] = None
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(values))
    set_job_status(connection, job.digest, Status.APPROVED if verdict == "approve" else Status.DENIED, detail)
    entry: LogEntry = JobDecided(at=now, signed=signed)
    append(connection, entry)
    decided = find_job(connection, job.digest) or job
    tell(connection, decided, now)
    return decided
