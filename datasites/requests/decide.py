"""Decide: a person's signature and its log entry at once; with the last that it takes, what follows from it too."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, update

from datasites.halts.revoked import require_not_revoked
from datasites.halts.stopped import require_not_stopped
from datasites.people.approvals import STUDIES, forget_approvals, take_approval
from datasites.people.decider import Decider, decider_of
from datasites.protocol.messages import StudyStatus
from datasites.requests.records import NO_FILES, Request, Status, request_by_number, requests_in, set_status
from datasites.requests.review import Review, approval_digest, draft_decision, review
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.tables import requests
from datasites.witnesses.hear import require_not_set_back
from policies.budget.ledger import reserve
from policies.decision import SignedDecision, SignedDecisions, sign_decision, verify_decisions
from policies.errors import ConflictError, RefusedError
from policies.log.budget_entries import ReservationOpened
from policies.log.entries import DecisionTaken
from policies.log.journal import append
from policies.statements.schema import as_text


def approve(connection: Connection, site: Site, digest: str, key: Ed25519PrivateKey) -> Request:
    """Approve the pending request whose `show` printed `digest`, as the person who holds `key`.

    It stays pending while the house rules ask for more people; with the last one its worst-case cost is reserved.

    Raises:
        RefusedError: no pending request has this digest as things stand now, a rule or the budget forbids it,
            this person may not decide on it, it was revoked, or the site was set back or is stopped.
        NotAuthenticError: the key is nobody's of this site.
        ConflictError: this person approved it already.
    """
    require_not_set_back(connection)
    require_not_stopped(connection, site)
    pending = requests_in(connection, Status.PENDING)
    meant = next((it for it in pending if approval_digest(connection, site, it) == digest), None)
    if meant is None:
        raise RefusedError(
            f"No pending request has the digest {digest[:16]}… as things stand now; «datasite show» prints the digest "
            "of each."
        )
    require_not_revoked(connection, site, meant.digest)
    decider = decider_of(connection, site, key, meant.terms.researcher)
    shown = review(connection, site, meant)
    if shown.obstacles:
        raise RefusedError(f"Request {shown.request.number} cannot be approved: {' '.join(shown.obstacles)}")
    now = shown.now
    signed = _sign(site, shown, decider, "approve", "approved as shown", now)
    append(connection, DecisionTaken(at=now, signed=signed))
    agreed = take_approval(connection, site, STUDIES, meant.digest, signed)
    if agreed:
        reserve(connection, shown.data_set.population, meant.digest, shown.cost, now)
        names = " and ".join((*shown.approvals.by, decider.person.name))
        _record(connection, site, meant, agreed, Status.APPROVED, f"Approved by {names}.", now)
        append(
            connection,
            ReservationOpened(
                at=now,
                population=shown.data_set.population,
                request=meant.digest,
                training_units=shown.cost.training_units,
                evaluation_units=shown.cost.evaluation_units,
            ),
        )
    return request_by_number(connection, meant.number)


def deny(connection: Connection, site: Site, number: int, reason: str, key: Ed25519PrivateKey) -> Request:
    """Deny pending request `number`, as the person who holds `key`; its researcher reads `reason`.

    Raises:
        ConflictError: the request is not pending any more.
        RefusedError: this person may not decide on it.
        NotAuthenticError: the key is nobody's of this site.
    """
    request = request_by_number(connection, number)
    if request.status is not Status.PENDING:
        raise ConflictError(f"Request {number} is {request.status}; only a pending one can be denied.")
    decider = decider_of(connection, site, key, request.terms.researcher)
    shown = review(connection, site, request)
    now = shown.now
    signed = _sign(site, shown, decider, "deny", as_text(reason), now)
    append(connection, DecisionTaken(at=now, signed=signed))
    forget_approvals(connection, request.digest)
    detail = as_text(f"{decider.person.title} denied: {reason}")
    _record(connection, site, request, (signed,), Status.DENIED, detail, now)
    connection.execute(update(requests).where(requests.c.digest == request.digest).values(**NO_FILES))
    return request_by_number(connection, number)


def _sign(site: Site, shown: Review, decider: Decider, verdict: str, reason: str, now: int) -> SignedDecision:
    facts = (shown.request, shown.data_set, shown.cost, shown.house_rules.digest)
    wanted = shown.house_rules.rules.approvals.studies
    decision = draft_decision(site, *facts, approvals=wanted, verdict=verdict, reason=reason, now=now)
    return sign_decision(decider.key, decision, decider.appointment)


def _record(
    connection: Connection,
    site: Site,
    request: Request,
    signed: tuple[SignedDecision, ...],
    status: Status,
    detail: str,
    now: int,
) -> None:
    taken = SignedDecisions(signed=signed)
    verify_decisions(taken, site.owner_key, request.terms.researcher)
    set_status(connection, request.digest, status, detail)
    connection.execute(
        update(requests).where(requests.c.digest == request.digest).values(decision=taken.canonical().decode())
    )
    message = StudyStatus(study=request.terms.study, status=status.value, detail=detail, decision=taken)
    enqueue(connection, request.sender, message, now)
