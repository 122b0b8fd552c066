"""Release or withhold a job's outputs: the owner's signed word on exactly these files of one execution."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.protocol.owner_key import require_owner_key
from datasites.requests.jobs.records import Job, Status, find_job, job_by_number, jobs_in, set_job_status
from datasites.site import Site
from datasites.store.tables import jobs
from policies.errors import ConflictError, RefusedError
from policies.jobs.release import MAXIMUM_OUTPUT_BYTES, OutputFact, ReleaseDecision, sign_release
from policies.log.entries import LogEntry
from policies.log.job_entries import ReleaseDecided
from policies.log.journal import append
from policies.statements.schema import as_text

_DECIDABLE = (Status.HELD, Status.FAILED)


def outputs_of(job: Job, *, logs: bool) -> tuple[OutputFact, ...]:
    """The files of the newest execution that a release would cover, without or with what the job printed."""
    return tuple(file for file in (job.run.files if job.run else ()) if logs or file.kind == "output")


def release_digest(site: Site, job: Job, files: Sequence[OutputFact]) -> str:
    """The digest of the release of these files, as it is shown and given back to take it.

    Raises:
        ConflictError: the job has no outputs that wait.
    """
    return _draft(site, job, files, "release", "as shown", 0).subject()


def release_outputs(connection: Connection, site: Site, digest: str, owner_key: Ed25519PrivateKey) -> Job:
    """Let the files go whose `show` printed `digest`; they leave for the researcher who asked, and nobody else.

    Raises:
        RefusedError: no outputs that wait have this digest as things stand now, or they are too large to be sent.
        NotAuthenticError: the key is not this datasite's owner's.
    """
    for job in jobs_in(connection, *_DECIDABLE):
        for logs in (False, True):
            files = outputs_of(job, logs=logs)
            if _waits(job) and files and release_digest(site, job, files) == digest:
                _require_sendable(job, files)
                return _decide(connection, site, job, files, owner_key, "release", "released as shown")
    raise RefusedError(
        f"No outputs that wait have the digest {digest[:16]}… as things stand now; «datasite show» prints it."
    )


def withhold_outputs(connection: Connection, site: Site, number: int, reason: str, owner_key: Ed25519PrivateKey) -> Job:
    """Keep the outputs of job `number` for good; its researcher reads `reason`.

    Raises:
        ConflictError: the job has no outputs that wait.
    """
    job = job_by_number(connection, number)
    return _decide(connection, site, job, outputs_of(job, logs=True), owner_key, "withhold", as_text(reason))


def _require_sendable(job: Job, files: Sequence[OutputFact]) -> None:
    size = sum(file.size for file in files)
    if size > MAXIMUM_OUTPUT_BYTES:
        raise RefusedError(
            f"The outputs of job {job.number} have {size} bytes; at most {MAXIMUM_OUTPUT_BYTES} can be sent."
        )


def _waits(job: Job) -> bool:
    newest = job.run is not None and job.run.attempt == job.attempt and job.run.commitment is not None
    return job.status in _DECIDABLE and newest and job.release is None


def _draft(site: Site, job: Job, files: Sequence[OutputFact], verdict: str, reason: str, now: int) -> ReleaseDecision:
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
            "verdict": verdict,
            "reason": reason,
            "decided_at": now,
        }
    )


def _decide(
    connection: Connection,
    site: Site,
    job: Job,
    files: Sequence[OutputFact],
    owner_key: Ed25519PrivateKey,
    verdict: str,
    reason: str,
) -> Job:
    require_owner_key(owner_key, site.identity.card)
    now = site.now
    signed = sign_release(owner_key, _draft(site, job, files, verdict, reason, now))
    # What may be told is told by the service, no earlier than how long the code ran may show.
    values: dict[str, object] = {
        "release": signed.canonical().decode(),
        "tell_at": job.tell_at if job.tell_at is not None else int(site.clock() * 1000),
    }
    if verdict == "withhold":
        values["outputs_file"] = None
    connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(values))
    if job.status is Status.HELD:
        status = Status.RELEASED if verdict == "release" else Status.WITHHELD
        detail = "The owner released outputs." if verdict == "release" else as_text(f"The owner withheld: {reason}")
        set_job_status(connection, job.digest, status, detail)
    entry: LogEntry = ReleaseDecided(at=now, signed=signed)
    append(connection, entry)
    return find_job(connection, job.digest) or job
