"""Close a request: return what was reserved and never charged, and tell its researcher why nothing more will come."""

from sqlalchemy import Connection, delete, select, update

from datasites.people.approvals import forget_approvals
from datasites.protocol.messages import StudyStatus
from datasites.requests.records import NO_FILES, OPEN, Request, Status, find_request, set_status, undecided
from datasites.store.data_sets import require_data_set
from datasites.store.outbox import enqueue
from datasites.store.tables import mask_keys, requests, rounds
from policies.budget.ledger import close, lose
from policies.errors import ConflictError
from policies.log.budget_entries import ReservationClosed, ReservationLost
from policies.log.entries import RequestClosed
from policies.log.journal import append
from policies.statements.schema import as_text


def close_request(
    connection: Connection, digest: str, status: Status, reason: str, now: int, *, lost: bool = False
) -> None:
    """End a request as `status`: its reservation is settled, its keys, waiting rounds and unsent answers are dropped.

    What the reservation still holds goes back to the population, or is spent with it if it is `lost`. A request that
    has ended already stays as it is. `reason` is for its researcher to read.
    """
    request = find_request(connection, digest)
    if request is None or request.status not in OPEN:
        return
    detail = as_text(reason)
    if request.status in (Status.APPROVED, Status.RUNNING):
        left = lose(connection, digest, now) if lost else close(connection, digest, now)
        entry = ReservationLost if lost else ReservationClosed
        append(
            connection,
            entry(
                at=now,
                request=digest,
                population=require_data_set(connection, request.data_set).population,
                training_units=left.training_units,
                evaluation_units=left.evaluation_units,
            ),
        )
    set_status(connection, digest, status, detail)
    forget_approvals(connection, digest)
    connection.execute(delete(mask_keys).where(mask_keys.c.request == digest))
    connection.execute(delete(rounds).where(rounds.c.request == digest, rounds.c.state == "asked"))
    waiting = (rounds.c.request == digest) & rounds.c.awaited_size.is_not(None)
    connection.execute(update(rounds).where(waiting).values(message=None, update_file=None, awaited_size=None))
    if status is not Status.DONE:  # of one that is done, answers may be asked for again
        connection.execute(update(rounds).where(rounds.c.request == digest).values(update_file=None))
        connection.execute(update(requests).where(requests.c.digest == digest).values(**NO_FILES))
    append(connection, RequestClosed(at=now, request=digest, reason=detail))
    _tell(connection, request, status, detail, now)


def revoke_request(connection: Connection, request: Request, reason: str, now: int) -> None:
    """End an approved request because its approval was taken back; of one that is done, no answer is sent again.

    Raises:
        ConflictError: it has ended otherwise, and nothing of it can happen any more.
    """
    if request.status in OPEN:
        close_request(connection, request.digest, Status.REVOKED, reason, now)
        return
    if request.status is not Status.DONE:
        raise ConflictError(f"Request {request.number} is {request.status}; nothing more of it can happen.")
    detail = as_text(reason)
    set_status(connection, request.digest, Status.REVOKED, detail)
    connection.execute(update(rounds).where(rounds.c.request == request.digest).values(update_file=None))
    connection.execute(update(requests).where(requests.c.digest == request.digest).values(**NO_FILES))
    _tell(connection, request, Status.REVOKED, detail, now)


def close_expired(connection: Connection, now: int, patience: int | None) -> None:
    """End every request whose terms have expired while something could still happen, and what waited too long.

    `patience` is how many seconds a request may wait that nobody has decided on, None for as long as its terms say.
    """
    expired = requests.c.status.in_(OPEN) & (requests.c.expires_at <= now)
    waited = undecided(patience) & (requests.c.received_at + (patience or 0) <= now)
    reasons = ((expired, "The study expired before it was finished."), (waited, "Nobody decided on the study in time."))
    for which, reason in reasons:
        for digest in connection.execute(select(requests.c.digest).where(which)).scalars().all():
            close_request(connection, digest, Status.EXPIRED, reason, now)


def _tell(connection: Connection, request: Request, status: Status, detail: str, now: int) -> None:
    message = StudyStatus(
        study=request.terms.study,
        status=status.value,
        detail=detail,
        decision=request.decision,
        ground=request.ground,
    )
    enqueue(connection, request.sender, message, now)
