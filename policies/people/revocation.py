"""Revocations: the signed word of a person of a site that what was approved of a request holds no more, and why."""

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import NotAuthenticError
from policies.people.appointment import MAXIMUM_SIGNED_APPOINTMENT_BYTES, SignedAppointment
from policies.people.signer import Person, person_signature, require_person, require_role
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp

MAXIMUM_SIGNED_REVOCATION_BYTES = MAXIMUM_SIGNED_APPOINTMENT_BYTES + 32 * 1024
_DOMAIN = "revocation"


class Revocation(StrictModel):
    """No approval of this request holds any more at this site, and none can be given again."""

    version: Literal["cloister-revocation/1"]
    site: PartyId
    request: Digest
    reason: Text
    revoked_at: Timestamp


class SignedRevocation(StrictModel):
    """A revocation under the signature of a person of the site."""

    revocation: Revocation
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


def sign_revocation(
    private_key: Ed25519PrivateKey, appointment: SignedAppointment | None, revocation: Revocation
) -> SignedRevocation:
    """Sign `revocation`; `appointment` is the signer's, None for the owner."""
    return SignedRevocation(revocation=revocation, **person_signature(private_key, appointment, _DOMAIN, revocation))


def verify_revocation(signed: SignedRevocation, owner_key: bytes, site: PartyId) -> Person:
    """The person of `site` who signed; `owner_key` is the raw 32-byte key pinned for it.

    Raises:
        NotAuthenticError: nobody of this site signed it, something was changed, or it is another site's.
        RefusedError: its signer's role lets them decide nothing.
    """
    person = require_person(signed, signed.revocation, owner_key, site, _DOMAIN, what="the revocation")
    require_role(person, "owner", "reviewer", what="revoke")
    if signed.revocation.site != site:
        raise NotAuthenticError("The revocation is of another site; ask this site's owner for the right one.")
    return person
