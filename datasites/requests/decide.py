"""Decide: the owner's signature, the reservation, the log entries and the researcher's answer in one transaction."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.protocol.messages import StudyStatus
from datasites.protocol.owner_key import require_owner_key
from datasites.requests.records import Request, Status, request_by_number, requests_in, set_status
from datasites.requests.review import Review, approval_digest, draft_decision, review
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.tables import requests
from datasites.witnesses.hear import require_not_set_back
from policies.budget.ledger import reserve
from policies.decision import SignedDecision, sign_decision
from policies.errors import ConflictError, RefusedError
from policies.log.entries import DecisionTaken, ReservationOpened
from policies.log.journal import append
from policies.statements.schema import as_text


def approve(connection: Connection, site: Site, digest: str, owner_key: Ed25519PrivateKey) -> Request:
    """Approve the pending request whose `show` printed `digest`, and reserve its worst-case cost.

    Raises:
        RefusedError: no pending request has this digest as things stand now, a rule or the budget forbids it,
            or the site was set back.
        NotAuthenticError: the key is not this datasite's owner's.
    """
    require_not_set_back(connection)
    pending = requests_in(connection, Status.PENDING)
    meant = next((it for it in pending if approval_digest(connection, site, it) == digest), None)
    if meant is None:
        raise RefusedError(
            f"No pending request has the digest {digest[:16]}… as things stand now; «datasite show» prints the digest "
            "of each."
        )
    shown = review(connection, site, meant)
    if shown.obstacles:
        raise RefusedError(f"Request {shown.request.number} cannot be approved: {' '.join(shown.obstacles)}")
    now = site.now
    signed = _sign(site, shown, owner_key, "approve", "approved as shown", now)
    reserve(connection, shown.data_set.population, shown.request.digest, shown.cost, now)
    _record(connection, shown, signed, Status.APPROVED, "The owner approved.", now)
    append(
        connection,
        ReservationOpened(
            at=now,
            population=shown.data_set.population,
            request=shown.request.digest,
            training_units=shown.cost.training_units,
            evaluation_units=shown.cost.evaluation_units,
        ),
    )
    return shown.request


def deny(connection: Connection, site: Site, number: int, reason: str, owner_key: Ed25519PrivateKey) -> Request:
    """Deny pending request `number`; its researcher reads `reason`.

    Raises:
        ConflictError: the request is not pending any more.
    """
    request = request_by_number(connection, number)
    if request.status is not Status.PENDING:
        raise ConflictError(f"Request {number} is {request.status}; only a pending one can be denied.")
    shown = review(connection, site, request)
    now = site.now
    signed = _sign(site, shown, owner_key, "deny", as_text(reason), now)
    _record(connection, shown, signed, Status.DENIED, as_text(f"The owner denied: {reason}"), now)
    connection.execute(update(requests).where(requests.c.digest == request.digest).values(parameters_file=None))
    return request


def _sign(
    site: Site, shown: Review, owner_key: Ed25519PrivateKey, verdict: str, reason: str, now: int
) -> SignedDecision:
    require_owner_key(owner_key, site.identity.card)
    decision = draft_decision(site, shown.request, shown.data_set, shown.cost, verdict=verdict, reason=reason, now=now)
    return sign_decision(owner_key, decision)


def _record(
    connection: Connection, shown: Review, signed: SignedDecision, status: Status, detail: str, now: int
) -> None:
    request = shown.request
    set_status(connection, request.digest, status, detail)
    connection.execute(
        update(requests).where(requests.c.digest == request.digest).values(decision=signed.canonical().decode())
    )
    append(connection, DecisionTaken(at=now, signed=signed))
    enqueue(
        connection,
        request.sender,
        StudyStatus(study=request.terms.study, status=status.value, detail=detail, decision=signed),
        now,
    )
