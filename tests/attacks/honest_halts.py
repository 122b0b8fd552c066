"""Words that halt things, for the honest log: a revocation, stops, and resumptions that end them."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.log.revocation_entries import ApprovalRevoked
from policies.log.stop_entries import SiteResumed, SiteStopped
from policies.people.appointment import SignedAppointment
from policies.people.revocation import Revocation, sign_revocation
from policies.people.stop import Resumption, Stop, sign_resumption, sign_stop
from tests.attacks.honest_log import FACTS, OWNER, REQUEST


def revoked(request: str = REQUEST, key: Ed25519PrivateKey = OWNER, site: str = FACTS.site) -> ApprovalRevoked:
    statement = Revocation(
        version="cloister-revocation/1", site=site, request=request, reason="Consent was withdrawn.", revoked_at=300
    )
    return ApprovalRevoked(at=300, signed=sign_revocation(key, None, statement))


def a_stop(serial: int = 1, site: str = FACTS.site) -> Stop:
    return Stop(version="cloister-stop/1", site=site, serial=serial, reason="An incident.", stopped_at=300)


def stopped(
    stop: Stop | None = None, key: Ed25519PrivateKey = OWNER, appointment: SignedAppointment | None = None
) -> SiteStopped:
    return SiteStopped(at=300, signed=sign_stop(key, appointment, stop or a_stop()))


def resumed(
    stop: Stop | None = None,
    key: Ed25519PrivateKey = OWNER,
    site: str = FACTS.site,
    appointment: SignedAppointment | None = None,
) -> SiteResumed:
    statement = Resumption(version="cloister-resumption/1", site=site, stop=(stop or a_stop()).digest(), resumed_at=300)
    return SiteResumed(at=300, signed=sign_resumption(key, appointment, statement))
