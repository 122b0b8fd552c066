"""Close a job: cancelled by its researcher or the owner, or expired; an execution that still runs is stopped."""

from sqlalchemy import ColumnElement, Connection, false, func, select, update

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
_REVOCABLE = (Status.APPROVED, Status.RUNNING, Status.HELD, Status.RELEASED, Status.WITHHELD, Status.FAILED)


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
        close_job(connection, job, Status.CANCELLED, f"Its researcher cancelled: {message.reason}", now)
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
    return close_job(connection, job, Status.CANCELLED, f"The owner cancelled: {reason}", now)


def revoke_job(connection: Connection, job: Job, reason: str, now: int) -> None:
    """End an approved job because its approval was taken back; what it wrote is forgotten.

    Raises:
        ConflictError: it has ended otherwise, and nothing of it can happen any more.
    """
    if job.status not in _REVOCABLE:
        raise ConflictError(f"Job {job.number} is {job.status}, and no approval of it stands.")
    close_job(connection, job, Status.REVOKED, reason, now)


def close_expired_jobs(connection: Connection, now: int, patience: int | None) -> bool:
    """End every job whose terms have expired while something could still happen, and what waited too long.

    True if there was any. `patience` is how many seconds a job may wait that nobody has ever decided on, None for as
    long as its terms say.
    """
    expired = _may_expire(now) & (jobs.c.expires_at <= now)
    waited = _undecided(patience) & (jobs.c.received_at + (patience or 0) <= now)
    found = False
    reasons = ((expired, "The job expired before it was finished."), (waited, "Nobody decided on the job in time."))
    for which, reason in reasons:
        for digest in connection.execute(select(jobs.c.digest).where(which)).scalars().all():
            job, found = find_job(connection, digest), True
            if job is not None:
                close_job(connection, job, Status.EXPIRED, reason, now)
    ended = jobs.c.status.not_in(_CLOSABLE) & (jobs.c.expires_at <= now) & jobs.c.tell_at.is_(None)
    kept = jobs.c.code_file.is_not(None) | jobs.c.outputs_file.is_not(None)
    connection.execute(update(jobs).where(ended & kept).values(code_file=None, outputs_file=None))
    return found


def _undecided(patience: int | None) -> ColumnElement[bool]:
    waits = jobs.c.status.in_((Status.RECEIVED, Status.PENDING)) & jobs.c.decision.is_(None)
    return false() if patience is None else waits


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
    for job in jobs_in(connection, Status.RELEASED):
        if job.tell_at is not None:  # its outputs have not gone out
            connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(release=None))
            set_job_status(connection, job.digest, Status.HELD, "It ended; its outputs wait for the owner.")
    running = jobs_in(connection, Status.RUNNING)
    for job in running:
        connection.execute(update(jobs).where(jobs.c.digest == job.digest).values(run=None, outputs_file=None))
        set_job_status(connection, job.digest, Status.FAILED, _SET_BACK)
        tell(connection, find_job(connection, job.digest) or job, now)
    return tuple(job.number for job in running)


def next_job_expiry(connection: Connection, now: int, patience: int | None) -> int | None:
    """When the first of the open jobs expires (seconds since 1970), or None if there is none; see above."""
    firsts = (
        select(func.min(jobs.c.expires_at)).where(_may_expire(now)),
        select(func.min(jobs.c.received_at) + (patience or 0)).where(_undecided(patience)),
    )
    found = [connection.execute(first).scalar_one() for first in firsts]
    return min((it for it in found if it is not None), default=None)


def close_job(connection: Connection, job: Job, status: Status, reason: str, now: int) -> Job:
    """End an open job as `status`; its researcher reads `reason`, and what was kept to run or release it is dropped."""
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
