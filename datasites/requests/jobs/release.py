"""Release or withhold a job's outputs: a person's signed word on exactly these files of one execution."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import require_not_stopped
from datasites.people.approvals import RELEASES, Approvals, approvals_of, approvals_taken, take_approval
from datasites.people.decider import Decider, decider_of
from datasites.requests.jobs.records import Job, Status, find_job, job_by_number, jobs_in, set_job_status
from datasites.site import Site
from datasites.store.tables import jobs
from datasites.witnesses.hear import require_not_set_back
from policies.errors import ConflictError, RefusedError
from policies.jobs.release import (
    MAXIMUM_OUTPUT_BYTES,
    OutputFact,
    ReleaseDecision,
    SignedRelease,
    SignedReleases,
    sign_release,
    verify_releases,
)
from policies.log.entries import LogEntry
from policies.log.job_entries import ReleaseDecided
from policies.log.journal import append
from policies.statements.schema import as_text

_DECIDABLE = (Status.HELD, Status.FAILED)


def outputs_of(job: Job, *, logs: bool) -> tuple[OutputFact, ...]:
    """The files of the newest execution that a release would cover, without or with what the job printed."""
    return tuple(file for file in (job.run.files if job.run else ()) if logs or file.kind == "output")


def release_digest(connection: Connection, site: Site, job: Job, files: Sequence[OutputFact]) -> str:
    """The digest of the release of these files, as it is shown and given back to take it.

    Raises:
        ConflictError: the job has no outputs that wait.
    """
    return _draft(connection, site, job, files, "release", "as shown", 0).subject()


def waiting_digest(connection: Connection, site: Site, job: Job, *, logs: bool) -> str | None:
    """The digest of the release of a job's outputs, without or with what it printed; None where nothing waits."""
    files = outputs_of(job, logs=logs)
    return release_digest(connection, site, job, files) if files and _waits(job) else None


def release_approvals(connection: Connection, site: Site, job: Job, *, logs: bool) -> Approvals:
    """Who said so far that these outputs go, or took the decision on them."""
    if job.release is not None:
        return approvals_taken(site, RELEASES, job.release.signed)
    wanted, files = site.house_rules(connection).rules.approvals.releases, outputs_of(job, logs=logs)
    if not _waits(job) or not files:
        return Approvals((), wanted)
    return approvals_of(connection, site, RELEASES, release_digest(connection, site, job, files), wanted)


def release_outputs(connection: Connection, site: Site, digest: str, key: Ed25519PrivateKey) -> Job:
    """Let the files go whose `show` printed `digest`, as the person who holds `key`.

    They leave for the researcher who asked, and nobody else, once as many people said so as the house rules ask for.

    Raises:
        RefusedError: no outputs that wait have this digest as things stand now, they are too large to be sent,
            this person may not decide on them, the job was revoked, or the site is stopped.
        NotAuthenticError: the key is nobody's of this site.
        ConflictError: this person released them already.
    """
    require_not_set_back(connection)
    require_not_stopped(connection, site)
    for job in jobs_in(connection, *_DECIDABLE):
        for logs in (False, True):
            files = outputs_of(job, logs=logs)
            if _waits(job) and files and release_digest(connection, site, job, files) == digest:
                require_not_revoked(connection, site, job.digest)
                decider = decider_of(connection, site, key, job.terms.researcher)
                _require_sendable(job, files)
                signed = _sign(connection, site, job, files, decider, "release", "released as shown")
                agreed = take_approval(connection, site, RELEASES, job.digest, signed)
                return _record(connection, site, job, agreed, "Outputs were released.") if agreed else job
    raise RefusedError(
        f"No outputs that wait have the digest {digest[:16]}… as things stand now; «datasite show» prints it."
    )


def withhold_outputs(connection: Connection, site: Site, number: int, reason: str, key: Ed25519PrivateKey) -> Job:
    """Keep the outputs of job `number` for good, as the person who holds `key`; its researcher reads `reason`.

    Raises:
        ConflictError: the job has no outputs that wait.
        RefusedError: this person may not decide on them.
        NotAuthenticError: the key is nobody's of this site.
    """
    job = job_by_number(connection, number)
    decider = decider_of(connection, site, key, job.terms.researcher)
    signed = _sign(connection, site, job, outputs_of(job, logs=True), decider, "withhold", as_text(reason))
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(outputs_file=None))
    return _record(connection, site, job, (signed,), as_text(f"{decider.person.title} withheld: {reason}"))


def _require_sendable(job: Job, files: Sequence[OutputFact]) -> None:
    size = sum(file.size for file in files)
    if size > MAXIMUM_OUTPUT_BYTES:
        raise RefusedError(
            f"The outputs of job {job.number} have {size} bytes; at most {MAXIMUM_OUTPUT_BYTES} can be sent."
        )


def _waits(job: Job) -> bool:
    newest = job.run is not None and job.run.attempt == job.attempt and job.run.commitment is not None
    return job.status in _DECIDABLE and newest and job.release is None


def _draft(
    connection: Connection,
    site: Site,
    job: Job,
    files: Sequence[OutputFact],
    verdict: str,
    reason: str,
    now: int,
) -> ReleaseDecision:
    if not _waits(job) or job.run is None:
        raise ConflictError(f"Job {job.number} is {job.status} and has no outputs that wait for a word.")
    return ReleaseDecision.model_validate(
        {
            "version": "cloister-release/1",
            "site": site.identity.party,
            "request": job.digest,
            "attempt": job.attempt,
            "commitment": job.run.commitment,
            "files": tuple(files),
            "recipient": job.sender,
            "approvals": site.house_rules(connection).rules.approvals.releases,
            "verdict": verdict,
            "reason": reason,
            "decided_at": now,
        }
    )


def _sign(
    connection: Connection,
    site: Site,
    job: Job,
    files: Sequence[OutputFact],
    decider: Decider,
    verdict: str,
    reason: str,
) -> SignedRelease:
    release = _draft(connection, site, job, files, verdict, reason, site.moment(connection))
    signed = sign_release(decider.key, release, decider.appointment)
    entry: LogEntry = ReleaseDecided(at=release.decided_at, signed=signed)
    append(connection, entry)
    return signed


def _record(connection: Connection, site: Site, job: Job, signed: tuple[SignedRelease, ...], detail: str) -> Job:
    taken = SignedReleases(signed=signed)
    release = verify_releases(taken, site.owner_key)
    # What may be told is told by the service, no earlier than how long the code ran may show.
    values: dict[str, object] = {
        "release": taken.canonical().decode(),
        "tell_at": job.tell_at if job.tell_at is not None else int(site.clock() * 1000),
    }
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(values))
    if job.status is Status.HELD:
        status = Status.RELEASED if release.verdict == "release" else Status.WITHHELD
        set_job_status(connection, job.digest, status, detail)
    return find_job(connection, job.digest) or job
