"""The outcome of trying a study's programs without data: the request now waits for its owner, or is refused."""

from sqlalchemy import Connection

from datasites.protocol.messages import StudyStatus
from datasites.requests.close import close_request
from datasites.requests.records import Request, Status, find_request, set_status
from datasites.store.outbox import enqueue


def admit(connection: Connection, request: Request, now: int) -> None:
    """The programs are within bounds: the owner may decide, unless the request ended while they were checked."""
    stored = find_request(connection, request.digest)
    if stored is None or stored.status is not Status.RECEIVED:
        return
    detail = "The owner has not decided yet."
    set_status(connection, request.digest, Status.PENDING, detail)
    status = StudyStatus(study=request.terms.study, status=Status.PENDING.value, detail=detail, decision=None)
    enqueue(connection, request.sender, status, now)


def refuse(connection: Connection, request: Request, reason: str, now: int) -> None:
    """The programs cannot be run here; their researcher is told why."""
    close_request(connection, request.digest, Status.REFUSED, reason, now)
