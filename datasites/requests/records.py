"""Requests as they stand in the database, and the few changes of status that there are."""

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, Row, select, update

from datasites.store.tables import requests
from policies.decision import SignedDecision
from policies.errors import InvalidInputError
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms


class Status(StrEnum):
    """Where a request stands: received until its programs were tried without data, pending until the owner decides.

    Approved ones become running, then done. What was refused, denied, closed, has failed or expired never runs again.
    """

    RECEIVED = "received"
    REFUSED = "refused"
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CLOSED = "closed"


OPEN = (Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING)
"""Statuses from which something can still happen."""


@dataclass(frozen=True)
class Request:
    """The snapshot of a request taken on receipt; `digest` is the digest of its terms and covers all the rest."""

    digest: str
    number: int
    sender: str
    data_set: str
    status: Status
    detail: str
    terms: Terms
    loss_program: str
    metrics_program: str
    source: str
    initial_parameters: bytes = field(repr=False)
    decision: SignedDecision | None
    received_at: int


def find_request(connection: Connection, digest: str) -> Request | None:
    """The request whose terms have `digest`, or None."""
    row = connection.execute(select(requests).where(requests.c.digest == digest)).one_or_none()
    return None if row is None else _request(row)


def find_study(connection: Connection, study: str) -> Request | None:
    """The request of `study`, or None."""
    row = connection.execute(select(requests).where(requests.c.study == study)).one_or_none()
    return None if row is None else _request(row)


def request_by_number(connection: Connection, number: int) -> Request:
    """The request that the owner calls `number`.

    Raises:
        InvalidInputError: there is none.
    """
    row = connection.execute(select(requests).where(requests.c.number == number)).one_or_none()
    if row is None:
        raise InvalidInputError(f"There is no request number {number}; «datasite requests» lists those there are.")
    return _request(row)


def all_requests(connection: Connection) -> list[Request]:
    """Every request, oldest first."""
    return [_request(row) for row in connection.execute(select(requests).order_by(requests.c.number))]


def set_status(connection: Connection, digest: str, status: Status, detail: str) -> None:
    """Move a request to `status`; `detail` is one sentence that its researcher may read."""
    connection.execute(update(requests).where(requests.c.digest == digest).values(status=status.value, detail=detail))


def _request(row: Row[tuple[object, ...]]) -> Request:
    columns = row._mapping
    decision = columns["decision"]
    return Request(
        digest=columns["digest"],
        number=columns["number"],
        sender=columns["sender"],
        data_set=columns["data_set"],
        status=Status(columns["status"]),
        detail=columns["detail"],
        terms=parse_model(Terms, columns["terms"].encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="A stored request"),
        loss_program=columns["loss_program"],
        metrics_program=columns["metrics_program"],
        source=columns["source"],
        initial_parameters=columns["initial_parameters"],
        decision=None
        if decision is None
        else parse_model(
            SignedDecision, decision.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="A stored decision"
        ),
        received_at=columns["received_at"],
    )
