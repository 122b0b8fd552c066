"""Close a request: return what was reserved and never charged, and tell its researcher why nothing more will come."""

from sqlalchemy import Connection

from datasites.protocol.messages import StudyStatus
from datasites.requests.records import OPEN, Request, Status, all_requests, set_status
from datasites.store.data_sets import require_data_set
from datasites.store.outbox import enqueue
from policies.budget.ledger import close
from policies.log.entries import RequestClosed, ReservationClosed
from policies.log.journal import append


def close_request(connection: Connection, request: Request, status: Status, detail: str, now: int) -> None:
    """End `request` as `status`; what its reservation still holds goes back to the population."""
    if request.status in (Status.APPROVED, Status.RUNNING):
        returned = close(connection, request.digest, now)
        append(
            connection,
            ReservationClosed(
                at=now,
                request=request.digest,
                population=require_data_set(connection, request.data_set).population,
                training_units=returned.training_units,
                evaluation_units=returned.evaluation_units,
            ),
        )
    set_status(connection, request.digest, status, detail)
    append(connection, RequestClosed(at=now, request=request.digest, reason=detail))
    enqueue(
        connection,
        request.sender,
        StudyStatus(study=request.terms.study, status=status.value, detail=detail, decision=request.decision),
        now,
    )


def close_expired(connection: Connection, now: int) -> None:
    """End every request whose terms have expired while something could still happen."""
    for request in all_requests(connection):
        if request.status in OPEN and request.terms.expires_at <= now:
            close_request(connection, request, Status.EXPIRED, "The study expired before it was finished.", now)
