"""A researcher's newer job replaces an older one of theirs that waits for an owner's word, or failed."""

from sqlalchemy import Connection

from datasites.requests.jobs.close import close_job
from datasites.requests.jobs.records import OPEN, Job, Status, find_job
from policies.errors import RefusedError
from policies.log.journal import append
from policies.log.superseded_entries import RequestSuperseded


def supersede_job(connection: Connection, newer: Job, now: int) -> None:
    """End the job that the terms of `newer` replace, if its researcher has it here and it has not ended.

    One that was approved has to be cancelled: else the answer would tell whether it has begun, and so when another
    job ended. One that ended, and whose end may not be told yet, is answered like it. One that failed ends too, for
    its owner could let it run once more.

    Raises:
        RefusedError: the older job was approved.
    """
    older = None if newer.terms.supersedes is None else find_job(connection, newer.terms.supersedes)
    if older is None or older.sender != newer.sender:
        return
    failed = older.status is Status.FAILED and older.tell_at is None and older.code_file is not None
    if older.status in (Status.RECEIVED, Status.PENDING) or failed:
        append(connection, RequestSuperseded(at=now, request=older.digest, by=newer.digest))
        reason = f"It was superseded by its researcher's «{newer.terms.name}»."
        close_job(connection, older, Status.SUPERSEDED, reason, now)
    elif older.status in OPEN or older.tell_at is not None:
        raise RefusedError("The job that this one replaces was approved; cancel it, then submit this one again.")
