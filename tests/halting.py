"""What the people of `tests.one_site` do to halt things: revoke an approval, stop the site, resume; else the owner."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.halts.revoke import Revoked
from datasites.halts.revoke import revoke as revoke_request
from datasites.halts.stop import resume_site, stop_site
from datasites.requests.jobs.records import Job
from datasites.requests.records import Request
from policies.people.stop import Stop
from tests.one_site import Scene


def revoke(scene: Scene, request: Request | Job, reason: str = "Consent was withdrawn.") -> Revoked:
    with scene.site.engine.begin() as connection:
        return revoke_request(connection, scene.site, request.number, reason, scene.owner_key)


def stop(scene: Scene, reason: str = "We look into an incident.", key: Ed25519PrivateKey | None = None) -> Stop:
    with scene.site.engine.begin() as connection:
        return stop_site(connection, scene.site, reason, key or scene.owner_key)


def resume(scene: Scene, key: Ed25519PrivateKey | None = None) -> Stop:
    with scene.site.engine.begin() as connection:
        return resume_site(connection, scene.site, key or scene.owner_key)


def reserved(scene: Scene) -> tuple[int, int]:
    """Units that open requests hold, in training and evaluation."""
    left = scene.balance()
    return left.training.reserved_units, left.evaluation.reserved_units
