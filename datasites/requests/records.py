"""Requests as they stand in the database, and the few changes of status that there are."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, Row, Select, false, func, select, update

from datasites.store.tables import requests
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions
from policies.errors import InvalidInputError, NotAuthenticError
from policies.programs.digests import source_digest
from policies.programs.format import parse_program
from policies.rules.approval import MAXIMUM_RULES_GROUND_BYTES, RulesGround
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms


class Status(StrEnum):
    """Where a request stands: received until its programs were tried without data, pending until the owner decides.

    Approved ones become running, then done. What was refused, denied, closed, revoked, superseded, has failed or
    expired never runs again.
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
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


NO_FILES = {"parameters_file": None, "tokeniser_file": None}
"""The columns of a request that has ended and needs the files no more that it brought."""

OPEN = (Status.RECEIVED, Status.PENDING, Status.APPROVED, Status.RUNNING)
"""Statuses from which something can still happen."""


@dataclass(frozen=True)
class Request:
    """The snapshot of a request taken on receipt; `digest` is the digest of its terms and covers all the rest.

    A person's `decision` stands for an approval, or else the `ground` on which the house rules approved.
    """

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
    parameters_file: str | None
    tokeniser_file: str | None
    decision: SignedDecisions | None
    ground: RulesGround | None
    received_at: int


def find_request(connection: Connection, digest: str) -> Request | None:
    """The request whose terms have `digest`, or None."""
    row = connection.execute(_query().where(requests.c.digest == digest)).one_or_none()
    return None if row is None else _request(row)


def find_study(connection: Connection, sender: str, study: str) -> Request | None:
    """The request that `sender` calls `study`, or None."""
    row = connection.execute(_query().where(requests.c.sender == sender, requests.c.study == study)).one_or_none()
    return None if row is None else _request(row)


def request_by_number(connection: Connection, number: int) -> Request:
    """The request that the owner calls `number`.

    Raises:
        InvalidInputError: there is none.
    """
    possible = 0 < number < 2**31  # beyond, the database would fail on it
    row = connection.execute(_query().where(requests.c.number == number)).one_or_none() if possible else None
    if row is None:
        raise InvalidInputError(f"There is no request number {number}; «datasite requests» lists those there are.")
    return _request(row)


def all_requests(connection: Connection) -> list[Request]:
    """Every request, oldest first."""
    return [_request(row) for row in connection.execute(_query().order_by(requests.c.number))]


def statuses(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Every request's digest and status, oldest first, without reading the rest."""
    found = select(requests.c.digest, requests.c.status).order_by(requests.c.number)
    return tuple(connection.execute(found).tuples())


def requests_in(connection: Connection, *statuses: Status) -> list[Request]:
    """The requests that stand at one of `statuses`, oldest first."""
    found = _query().where(requests.c.status.in_(statuses)).order_by(requests.c.number)
    return [_request(row) for row in connection.execute(found)]


def terms_in(connection: Connection, *statuses: Status) -> list[Terms]:
    """The terms of the requests that stand at one of `statuses`, without reading their programs."""
    found = select(requests.c.terms).where(requests.c.status.in_(statuses))
    return [_terms(it) for it in connection.execute(found).scalars()]


def undecided(patience: int | None) -> ColumnElement[bool]:
    """Requests that expire `patience` seconds after they came, as nobody has decided on them; None for never."""
    waits = requests.c.status.in_((Status.RECEIVED, Status.PENDING)) & requests.c.decision.is_(None)
    return false() if patience is None else waits


def next_expiry(connection: Connection, patience: int | None) -> int | None:
    """When the first of the open requests expires (seconds since 1970), or None if there is none.

    `patience` is how many seconds one may wait that nobody has decided on, None for as long as its terms say.
    """
    firsts = (
        select(func.min(requests.c.expires_at)).where(requests.c.status.in_(OPEN)),
        select(func.min(requests.c.received_at) + (patience or 0)).where(undecided(patience)),
    )
    found = [connection.execute(first).scalar_one() for first in firsts]
    return min((it for it in found if it is not None), default=None)


def set_status(connection: Connection, digest: str, status: Status, detail: str) -> None:
    """Move a request to `status`; `detail` is a sentence that its researcher may read, and fits `Text`."""
    connection.execute(update(requests).where(requests.c.digest == digest).values(status=status.value, detail=detail))


def require_as_received(request: Request) -> None:
    """Check that terms, programs and source are still what the request's digest names.

    Raises:
        NotAuthenticError: something stored was changed since it was received.
    """
    programs = request.terms.programs
    stored = (
        request.terms.digest(),
        parse_program(request.loss_program.encode()).digest(),
        parse_program(request.metrics_program.encode()).digest(),
        source_digest(request.source),
    )
    if stored != (request.digest, programs.loss, programs.metrics, programs.source):
        raise NotAuthenticError(
            f"What is stored as request {request.number} is not what was received: somebody changed the database."
        )


@lru_cache(maxsize=256)
def _terms(text: str) -> Terms:
    return parse_model(Terms, text.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="A stored request")


@lru_cache(maxsize=256)
def _decision(text: str) -> SignedDecisions:
    maximum = MAXIMUM_SIGNED_DECISIONS_BYTES
    return parse_model(SignedDecisions, text.encode(), maximum_bytes=maximum, what="A stored decision")


@lru_cache(maxsize=256)
def _ground(text: str) -> RulesGround:
    maximum = MAXIMUM_RULES_GROUND_BYTES
    return parse_model(RulesGround, text.encode(), maximum_bytes=maximum, what="A stored approval by the rules")


def _query() -> Select[tuple[object, ...]]:
    return select(requests)


def _request(row: Row[tuple[object, ...]]) -> Request:
    columns = row._mapping
    decision, ground = columns["decision"], columns["ground"]
    return Request(
        digest=columns["digest"],
        number=columns["number"],
        sender=columns["sender"],
        data_set=columns["data_set"],
        status=Status(columns["status"]),
        detail=columns["detail"],
        terms=_terms(columns["terms"]),
        loss_program=columns["loss_program"],
        metrics_program=columns["metrics_program"],
        source=columns["source"],
        parameters_file=columns["parameters_file"],
        tokeniser_file=columns["tokeniser_file"],
        decision=None if decision is None else _decision(decision),
        ground=None if ground is None else _ground(ground),
        received_at=columns["received_at"],
    )
