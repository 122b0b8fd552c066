"""Approvals by people of a datasite in tests, signed without the datasite's doing."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.requests.records import Request
from datasites.requests.review import draft_decision
from datasites.store.data_sets import require_data_set
from policies.budget.costs import request_cost
from policies.decision import Decision, SignedDecision, sign_decision
from policies.people.appointment import SignedAppointment
from tests.one_site import Scene
from tests.site_people import Holder

ELSEWHERE = "b" * 64
"""Another datasite."""


def signed(
    scene: Scene, request: Request, key: Ed25519PrivateKey, appointed: SignedAppointment | None, **changes: object
) -> SignedDecision:
    """An approval of `request` as it stands."""
    with scene.site.engine.begin() as connection:
        data_set = require_data_set(connection, request.data_set)
    adopted = scene.rules()
    facts = (request, data_set, request_cost(request.terms, data_set.filter_order), adopted.digest)
    wanted = adopted.rules.approvals.studies
    decision = draft_decision(scene.site, *facts, approvals=wanted, verdict="approve", reason="ok", now=scene.now)
    return sign_decision(key, Decision(**(decision.model_dump() | changes)), appointed)


def of(scene: Scene, request: Request, holder: Holder, **changes: object) -> SignedDecision:
    """The same by somebody with a genuine appointment as reviewer."""
    return signed(scene, request, holder.key, genuine(scene, holder), **changes)


def genuine(scene: Scene, holder: Holder) -> SignedAppointment:
    """The appointment that the database holds of somebody."""
    with scene.site.engine.begin() as connection:
        text = connection.exec_driver_sql("SELECT appointment FROM people WHERE key = ?", (holder.public,)).scalar_one()
    return SignedAppointment.model_validate_json(text)
