"""Tell a researcher where a job stands; how long its code ran shows only roughly, in what is told and when."""

from contextlib import ExitStack
from dataclasses import replace

from sqlalchemy import Connection, func, select, update

from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import is_stopped
from datasites.protocol.blobs import BlobReference
from datasites.protocol.job_messages import JobOutputs, JobStatus
from datasites.requests.jobs.grounds import ReleasedOutputs, released_outputs
from datasites.requests.jobs.outputs import output_pieces
from datasites.requests.jobs.records import Job, Status, find_job, find_senders_job, set_job_status
from datasites.serving.lifecycle import report
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.outbox import enqueue
from datasites.store.tables import jobs
from datasites.witnesses.hear import is_set_back
from policies.errors import CloisterError, UnavailableError
from policies.jobs.endings import told_milliseconds
from policies.log.entries import LogEntry
from policies.log.job_entries import OutputsReleased
from policies.log.journal import append

_NOT_SENT = "This site could not send the outputs; its owner knows why."
_NOT_TRIED = "This site could not try the job on mock data; its owner knows why."
_TOLD_WHEN_ENDED = (Status.HELD, Status.RELEASED, Status.WITHHELD, Status.FAILED)
APPROVED = "It is approved; it runs when it is its turn."
WAITS = "The owner has not decided yet."


def tell_time(site: Site, job: Job) -> int:
    """When the end of an execution that ended now may be told, in milliseconds since 1970.

    It is counted from the approval, which the researcher knows, and rounded. Counted from the begin it would tell of
    the job before, which ended just then.
    """
    approved = job.approved_at or 0
    return approved + told_milliseconds(site.clock() * 1000 - approved)


def tell(connection: Connection, job: Job, now: int) -> None:
    """Send the job's status, as far as its researcher may know it at this moment.

    Nothing tells when an execution begins: that is when another one has ended. Nor when a dry run ends: it might have
    felt, by how fast it was, what another job on private data did at the same time.
    """
    hidden = job.status is Status.RUNNING or (job.tell_at is not None and job.status in _TOLD_WHEN_ENDED)
    run = None if hidden or job.run is None or job.run.attempt != job.attempt else job.run
    told, detail = (Status.APPROVED, APPROVED) if hidden else (job.status, job.detail)
    if told is Status.RECEIVED:
        told, detail = Status.PENDING, WAITS
    status = JobStatus(
        job=job.terms.job,
        status=told.value,
        detail=detail,
        decision=job.decision,
        ending=None if run is None else run.ending,
        milliseconds=None if run is None else run.milliseconds,
    )
    enqueue(connection, job.sender, status, now)


def tell_refusal(connection: Connection, sender: str, job: str, reason: str, now: int) -> None:
    """Say why a submission was not taken in; of a job that was taken in before, say where it stands."""
    known = find_senders_job(connection, sender, job)
    if known is not None:
        tell(connection, known, now)
        return
    status = JobStatus(job=job, status="refused", detail=reason, decision=None, ending=None, milliseconds=None)
    enqueue(connection, sender, status, now)


def tell_due(site: Site) -> bool:
    """Tell what may be told by now of jobs that ended, and send what was released of them; True if there was any."""
    with reading(site.engine) as connection:
        due = select(jobs.c.digest).where(jobs.c.tell_at <= int(site.clock() * 1000)).order_by(jobs.c.number)
        found = connection.execute(due).scalars().all()
    for digest in found:
        _tell_one(site, digest)
    return bool(found)


def refuse_job(site: Site, job: Job) -> None:
    """A job could not even be tried: it has failed, and nothing of it ever runs."""
    with site.engine.begin() as connection:
        stored = find_job(connection, job.digest)
        if stored is None or stored.status is not Status.RECEIVED:
            return
        set_job_status(connection, job.digest, Status.FAILED, _NOT_TRIED)
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(code_file=None))
        tell(connection, find_job(connection, job.digest) or job, site.now)


def milliseconds_to_next_telling(connection: Connection, site: Site) -> int | None:
    """How long until something may be told; None if nothing waits for it."""
    first: int | None = connection.execute(select(func.min(jobs.c.tell_at))).scalar_one()
    return None if first is None else max(0, first - int(site.clock() * 1000))


def _tell_one(site: Site, digest: str) -> None:
    with reading(site.engine) as connection:
        job = find_job(connection, digest)
    if job is None or job.tell_at is None:
        return
    try:
        release = released_outputs(site, job)
        with reading(site.engine) as connection:
            require_not_revoked(connection, site, digest)
        with ExitStack() as files:
            message = None if release is None else _outputs(site, job, release, files)
            _record(site, job, release, message)
    except UnavailableError:  # it may be sent later
        raise
    except CloisterError as error:
        report(f"Nothing is released of job {job.number}: {error}")
        _record(site, job, None, None)


def _record(site: Site, job: Job, release: ReleasedOutputs | None, message: JobOutputs | None) -> None:
    """Send what is due in one transaction, unless the job changed since it was read: then the next call does it.

    Outputs that are released and cannot be sent make a failed job, which its owner may let run again.
    """
    word = None if job.release is None else job.release.canonical().decode()
    as_read = (
        jobs.c.status == job.status.value,
        jobs.c.tell_at == job.tell_at,
        jobs.c.attempt == job.attempt,
        jobs.c.release.is_not_distinct_from(word),
    )
    after = replace(job, tell_at=None)
    if message is None and job.status is Status.RELEASED:
        after = replace(after, status=Status.FAILED, detail=_NOT_SENT)
    with site.engine.begin() as connection:
        if is_stopped(connection, site) or is_set_back(connection):
            return
        told = update(jobs).where(jobs.c.digest == job.digest, *as_read).values(tell_at=None)
        if not connection.execute(told).rowcount:
            return
        set_job_status(connection, after.digest, after.status, after.detail)
        tell(connection, after, site.now)
        if release is None or message is None:
            return
        file = message.content.digest if isinstance(message.content, BlobReference) else None
        enqueue(connection, job.sender, message, site.now, file)
        entry: LogEntry = OutputsReleased(
            at=site.now,
            request=job.digest,
            attempt=job.attempt,
            recipient=job.sender,
            commitment=release.commitment,
            ground=release.ground,
        )
        append(connection, entry)


def _outputs(site: Site, job: Job, release: ReleasedOutputs, files: ExitStack) -> JobOutputs:
    size = sum(file.size for file in release.files)
    # Before the transaction: sealing much takes long.
    content = files.enter_context(site.contents.enclosed(output_pieces(site, job, release.files), size))
    return JobOutputs(job=job.terms.job, request=job.digest, attempt=job.attempt, files=release.files, content=content)
