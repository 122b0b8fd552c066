"""The gate before every step of an execution: a valid, unexpired approval of exactly this request and snapshot."""

from sqlalchemy import Connection

from datasites.requests.records import Request, Status, find_study
from datasites.site import Site
from datasites.store.data_sets import DataSet, require_data_set
from policies.decision import verify_decision
from policies.errors import NotAuthenticError, RefusedError


def require_approval(connection: Connection, site: Site, sender: str, study: str, now: int) -> tuple[Request, DataSet]:
    """The request of `study` and its data set, if the owner approved both as they stand at this moment.

    Raises:
        RefusedError: unknown study, not approved, or expired.
        NotAuthenticError: another sender, or the stored decision does not cover what is stored beside it.
    """
    request = find_study(connection, study)
    if request is None or request.sender != sender:
        raise RefusedError("This site knows no such study of yours.")
    if request.status not in (Status.APPROVED, Status.RUNNING, Status.DONE) or request.decision is None:
        raise RefusedError(f"The study is not approved here, it is {request.status}: {request.detail}")
    data_set = require_data_set(connection, request.data_set)
    decision = verify_decision(request.decision, bytes.fromhex(site.identity.card.owner_key or ""))
    covered = (decision.verdict, decision.site, decision.request, decision.data_set, decision.snapshot_commitment)
    if covered != ("approve", site.identity.party, request.terms.digest(), data_set.name, data_set.snapshot_commitment):
        raise NotAuthenticError("The stored approval does not cover this request and snapshot; nothing was run.")
    if now >= min(decision.expires_at, request.terms.expires_at):
        raise RefusedError("The approval has expired; submit the study again.")
    return request, data_set
