"""Approve a study by the house rules alone: when they let it, by what it is measured, the check before each round."""

from sqlalchemy import Connection, select, update

from datasites.halts.stopped import is_stopped
from datasites.requests.asked import asked_study
from datasites.requests.people_approval import require_people_approval
from datasites.requests.records import Request, Status, find_request, require_as_received, set_status
from datasites.requests.review import obstacles
from datasites.site import Site
from datasites.store.data_sets import DataSet, require_data_set
from datasites.store.tables import requests
from datasites.witnesses.hear import is_set_back
from policies.budget.balance import balance
from policies.budget.costs import Cost, request_cost
from policies.budget.ledger import reserve
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.log.budget_entries import ReservationOpened
from policies.log.journal import append
from policies.log.rules_entries import ApprovedByRules
from policies.rules.approval import RulesApproval, RulesGround, verify_ground
from policies.rules.approved import quarter_of
from policies.rules.auto_approval import automatic_obstacles, looser
from policies.statements.schema import as_text

_STANDS = (Status.APPROVED, Status.RUNNING, Status.DONE)
"""Where a precedent must stand when it is used: a person approved it, and it did not end before its time."""

_NOT_TAKEN_BACK = (*_STANDS, Status.FAILED, Status.CLOSED, Status.EXPIRED, Status.SUPERSEDED)
"""Where it may have come since: its own end says nothing against what it carried before."""


def approve_by_rules(connection: Connection, site: Site, request: Request) -> bool:
    """Approve a pending request and reserve its cost, if the rules that were adopted let it; whether they did.

    Raises:
        NotAuthenticError: what is stored as rules or as an earlier request is not what was adopted or received.
        RefusedError: the owner has adopted no house rules.
    """
    adopted, now = site.house_rules(connection), site.moment(connection)
    if adopted.rules.auto_approval is None or is_set_back(connection) or is_stopped(connection, site):
        return False
    data_set = require_data_set(connection, request.data_set)
    cost = request_cost(request.terms, data_set.filter_order)
    left = balance(connection, data_set.population)
    if obstacles(connection, site, request, cost, left, adopted, now):
        return False
    asked = asked_study(connection, request, adopted.rules, now)
    if automatic_obstacles(adopted.rules, request.terms, asked.before.automatic):
        return False
    precedent = _precedent(connection, site, request, data_set, cost, now)
    if precedent is None or precedent.decision is None:
        return False
    approval = RulesApproval(
        version="cloister-rules-approval/1",
        site=site.identity.party,
        request=request.digest,
        data_set=data_set.name,
        snapshot_commitment=data_set.snapshot_commitment,
        population=data_set.population,
        training_units=cost.training_units,
        evaluation_units=cost.evaluation_units,
        expires_at=request.terms.expires_at,
        house_rules=adopted.digest,
        precedent=precedent.digest,
        approved_at=now,
        verdict="approve",
    )
    ground = RulesGround(approval=approval, adoption=adopted.signed, precedent=precedent.decision)
    reserve(connection, data_set.population, request.digest, cost, now)
    detail = as_text(f"The house rules approved: it is like «{precedent.terms.title}», which a person approved.")
    set_status(connection, request.digest, Status.APPROVED, detail)
    stored = update(requests).where(requests.c.digest == request.digest)
    connection.execute(stored.values(ground=ground.canonical().decode()))
    append(connection, ApprovedByRules(at=now, approval=approval))
    append(
        connection,
        ReservationOpened(
            at=now,
            population=data_set.population,
            request=request.digest,
            training_units=cost.training_units,
            evaluation_units=cost.evaluation_units,
        ),
    )
    return True


def require_rules_approval(
    connection: Connection, site: Site, request: Request, data_set: DataSet, cost: Cost
) -> RulesApproval:
    """The approval by the rules that is stored with `request`, if all that it rests on still stands.

    Raises:
        NotAuthenticError: it does not cover what is stored beside it, or its ground is not what was signed.
        RefusedError: the approval of the precedent was taken back, or the rules never let so much.
    """
    if request.ground is None:
        raise NotAuthenticError("The request stands as approved without a decision.")
    approval = verify_ground(request.ground, site.owner_key, site.identity.party, request.terms.researcher)
    covered = (
        request.digest,
        data_set.name,
        data_set.snapshot_commitment,
        data_set.population,
        Cost(approval.training_units, approval.evaluation_units),
        request.terms.expires_at,
    )
    named = (approval.request, approval.data_set, approval.snapshot_commitment, approval.population, cost)
    if covered != (*named, approval.expires_at):
        raise NotAuthenticError("The stored approval does not cover this request and snapshot; nothing was run.")
    precedent = find_request(connection, approval.precedent)
    if precedent is None or precedent.decision != request.ground.precedent:
        raise NotAuthenticError("The decision that this approval rests on is not the one that is stored here.")
    require_as_received(precedent)
    require_people_approval(connection, site, precedent, data_set)
    if precedent.status not in _NOT_TAKEN_BACK:
        raise RefusedError(f"The approval of the study that this one is measured by was taken back: {precedent.detail}")
    if looser(request.terms, precedent.terms, cost, request_cost(precedent.terms, data_set.filter_order)):
        raise NotAuthenticError("The stored request is not like the one that its approval is measured by.")
    rules = request.ground.adoption.adoption.rules
    if automatic_obstacles(rules, request.terms, _approved_beside(connection, approval)):
        raise NotAuthenticError("The house rules let less be approved without a person; nothing was run.")
    return approval


def _precedent(
    connection: Connection, site: Site, request: Request, data_set: DataSet, cost: Cost, now: int
) -> Request | None:
    """The newest study that people approved here, whose approval holds now and covers `request` too.

    As many of them as today's rules ask for.
    """
    asked_for = site.house_rules(connection).rules.approvals.studies
    approved = requests.c.decision.is_not(None) & requests.c.status.in_(_STANDS)
    same = (requests.c.sender == request.sender) & (requests.c.data_set == request.data_set)
    found = select(requests.c.digest).where(approved, same).order_by(requests.c.number.desc())
    for digest in connection.execute(found).scalars().all():
        known = find_request(connection, digest)
        if known is None or known.decision is None:
            continue
        require_as_received(known)
        try:
            decision = require_people_approval(connection, site, known, data_set)
        except CloisterError:  # a row that stands as approved, by whomever, and is not
            continue
        if decision.expires_at <= now or decision.approvals < asked_for:
            continue
        if not looser(request.terms, known.terms, cost, request_cost(known.terms, data_set.filter_order)):
            return known
    return None


def _approved_beside(connection: Connection, approval: RulesApproval) -> int:
    """How many other studies the same rules had approved in the same quarter by then."""
    found = select(requests.c.digest).where(requests.c.ground.is_not(None), requests.c.digest != approval.request)
    others = (find_request(connection, digest) for digest in connection.execute(found).scalars().all())
    made = [it.ground.approval for it in others if it is not None and it.ground is not None]
    return sum(
        it.house_rules == approval.house_rules
        and it.approved_at <= approval.approved_at
        and quarter_of(it.approved_at) == quarter_of(approval.approved_at)
        for it in made
    )
