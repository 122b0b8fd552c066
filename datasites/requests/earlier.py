"""The study that a new one is compared with: the last of its researcher that was approved, best under its title."""

from sqlalchemy import Connection, select

from datasites.requests.look_through import SOURCE, programs_of
from datasites.requests.records import Request, find_request, require_as_received
from datasites.store.tables import requests
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions
from policies.review.differences import Difference, Snapshot, difference
from policies.statements.schema import parse_model


def study_difference(connection: Connection, request: Request) -> Difference | None:
    """What `request` changes against the approved study before it; None if there was none.

    Raises:
        NotAuthenticError: what is stored as that study is not what was received.
    """
    earlier = _last_approved(connection, request)
    if earlier is None:
        return None
    require_as_received(earlier)
    return difference(earlier.number, _snapshot(earlier), _snapshot(request))


def _last_approved(connection: Connection, request: Request) -> Request | None:
    before = (
        select(requests.c.digest, requests.c.decision)
        .where(
            requests.c.sender == request.sender, requests.c.number < request.number, requests.c.decision.is_not(None)
        )
        .order_by(requests.c.number.desc())
    )
    approved = (digest for digest, decision in connection.execute(before).tuples() if _approves(decision))
    found = [it for digest in approved if (it := find_request(connection, digest)) is not None]
    return next((it for it in found if it.terms.title == request.terms.title), found[0] if found else None)


def _approves(text: str) -> bool:
    maximum = MAXIMUM_SIGNED_DECISIONS_BYTES
    signed = parse_model(SignedDecisions, text.encode(), maximum_bytes=maximum, what="A stored decision")
    return signed.decision.verdict == "approve"


def _snapshot(request: Request) -> Snapshot:
    return Snapshot(request.terms, programs_of(request), {SOURCE: request.source.encode()})
