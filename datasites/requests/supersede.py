"""A researcher's newer study replaces an older one of theirs, which ends and gives back what it had reserved."""

from sqlalchemy import Connection

from datasites.requests.close import close_request
from datasites.requests.records import OPEN, Request, Status, find_request
from policies.errors import RefusedError
from policies.log.journal import append
from policies.log.superseded_entries import RequestSuperseded


def supersede(connection: Connection, newer: Request, now: int) -> None:
    """End the study that the terms of `newer` replace, if its researcher has it here and it has not ended.

    Whatever else the terms name is left alone: another site of the cohort may know it, and whose it is nobody learns.

    Raises:
        RefusedError: a round of the older study was asked for already.
    """
    older = None if newer.terms.supersedes is None else find_request(connection, newer.terms.supersedes)
    if older is None or older.sender != newer.sender or older.status not in OPEN:
        return
    if older.status is Status.RUNNING:
        raise RefusedError("The study that this one replaces runs already; close it, then submit this one again.")
    append(connection, RequestSuperseded(at=now, request=older.digest, by=newer.digest))
    reason = f"It was superseded by its researcher's «{newer.terms.title}»."
    close_request(connection, older.digest, Status.SUPERSEDED, reason, now)
