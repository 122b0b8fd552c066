"""Close a job: cancelled by its researcher or the owner, or expired; an execution that still runs is stopped."""

from sqlalchemy import ColumnElement, Connection, func, select, update

from datasites.people.approvals import forget_approvals
from datasites.protocol.job_messages import JobCancel
from datasites.requests.jobs.records import (
    Job,
    Status,
    find_job,
    find_senders_job,
    job_by_number,
    jobs_in,
    set_job_status,
)
from datasites.requests.jobs.tell import tell
from datasites.store.tables import jobs
from policies.errors import ConflictError, RefusedError
from policies.log.entries import LogEntry, RequestClosed
from policies.log.journal import append
from policies.statements.schema import as_text

_SET_BACK = "The site was set back to an older state while the job ran; its owner may let it run again."
_CLOSABLE = (Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING, Status.HELD)


def cancel_own_job(connection: Connection, sender: str, message: JobCancel, now: int) -> None:
    """End the sender's own job; one that has ended already stays as it is.

    While it is not told that a job ended, a job that ended and one that still runs are answered alike.

    Raises:
        RefusedError: the sender has no such job here.
    """
    job = find_senders_job(connection, sender, message.job)
    if job is None:
        raise RefusedError("This site knows no such job of yours.")
    if job.status in _CLOSABLE or job.tell_at is not None:
        _close(connection, job, Status.CANCELLED, f"Its researcher cancelled: {message.reason}", now)
    else:
        tell(connection, job, now)


def cancel_job(connection: Connection, number: int, reason: str, now: int) -> Job:
    """End job `number` by the owner's word; its researcher reads `reason`.

    Raises:
        ConflictError: it has ended already.
    """
    job = job_by_number(connection, number)
    if job.status not in _CLOSABLE:
        raise ConflictError(f"Job {number} is {job.status}; there is nothing to cancel.")
    return _close(connection, job, Status.CANCELLED, f"The owner cancelled: {reason}", now)


def close_expired_jobs(connection: Connection, now: int) -> bool:
    """End every job whose terms have expired while something could still happen; True if there was any."""
    expired = select(jobs.c.digest).where(_may_expire(now), jobs.c.expires_at <= now)
    found = connection.execute(expired).scalars().all()
    for digest in found:
        job = find_job(connection, digest)
        if job is not None:
            _close(connection, job, Status.EXPIRED, "The job expired before it was finished.", now)
    ended = jobs.c.status.not_in(_CLOSABLE) & (jobs.c.expires_at <= now) & jobs.c.tell_at.is_(None)
    kept = jobs.c.code_file.is_not(None) | jobs.c.outputs_file.is_not(None)
    connection.execute(update(jobs).where(ended & kept).values(code_file=None, outputs_file=None))
    return bool(found)


def _may_expire(now: int) -> ColumnElement[bool]:
    """Jobs to which something may still happen, and those whose end may not be told yet.

    Else what is told at the expiry would tell whether the code had ended by then.
    """
    return jobs.c.status.in_(_CLOSABLE) | (jobs.c.tell_at > now * 1000)


def void_approvals(connection: Connection, now: int) -> tuple[int, ...]:
    """After a set-back: approved jobs wait for their owner anew; gives the numbers of those that were running."""
    for job in jobs_in(connection, Status.APPROVED):
        set_job_status(connection, job.digest, Status.PENDING, "The owner has not decided yet.")
        tell(connection, find_job(connection, job.digest) or job, now)
    running = jobs_in(connection, Status.RUNNING)
    for job in running:
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(run=None, outputs_file=None))
        set_job_status(connection, job.digest, Status.FAILED, _SET_BACK)
        tell(connection, find_job(connection, job.digest) or job, now)
    return tuple(job.number for job in running)


def next_job_expiry(connection: Connection, now: int) -> int | None:
    """When the first of the open jobs expires (seconds since 1970), or None if there is none."""
    first: int | None = connection.execute(select(func.min(jobs.c.expires_at)).where(_may_expire(now))).scalar_one()
    return first


def _close(connection: Connection, job: Job, status: Status, reason: str, now: int) -> Job:
    detail = as_text(reason)
    forget_approvals(connection, job.digest)
    set_job_status(connection, job.digest, status, detail)
    connection.execute(
        update(jobs)
        .where(jobs.c.digest == job.digest)
        .values(code_file=None, run=None, outputs_file=None, findings=None, findings_seal=None, tell_at=None)
    )
    entry: LogEntry = RequestClosed(at=now, request=job.digest, reason=detail)
    append(connection, entry)
    closed = find_job(connection, job.digest) or job
    tell(connection, closed, now)
    return closed
