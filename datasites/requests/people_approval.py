"""A study's stored approval by people: whether it covers what is stored beside it, and was truly taken."""

from sqlalchemy import Connection

from datasites.halts.revoked import require_not_revoked
from datasites.people.taken import require_taken
from datasites.requests.records import Request
from datasites.requests.review import draft_decision
from datasites.site import Site
from datasites.store.data_sets import DataSet
from policies.budget.costs import request_cost
from policies.decision import Decision, verify_decisions
from policies.errors import NotAuthenticError
from policies.log.entries import DecisionTaken


def require_people_approval(connection: Connection, site: Site, request: Request, data_set: DataSet) -> Decision:
    """The approval by people that is stored with `request`, if it stands for exactly what is stored.

    Raises:
        NotAuthenticError: there is none, it covers something else, or it was not taken by enough people in role.
        RefusedError: it was revoked, or one of them asked for it.
    """
    if request.decision is None:
        raise NotAuthenticError("The request stands as approved without a decision.")
    require_not_revoked(connection, site, request.digest)
    decision = verify_decisions(request.decision, site.owner_key, request.terms.researcher)
    stated = [(it, DecisionTaken(at=it.decision.decided_at, signed=it)) for it in request.decision.signed]
    require_taken(connection, site, stated, decision.approvals, lambda rules: rules.studies, decision.house_rules)
    facts = (request, data_set, request_cost(request.terms, data_set.filter_order), decision.house_rules)
    stored = draft_decision(site, *facts, approvals=decision.approvals, verdict="approve", reason="as stored", now=0)
    if decision.verdict != "approve" or decision.subject() != stored.subject():
        raise NotAuthenticError("The stored approval does not cover this request and snapshot; nothing was run.")
    return decision
