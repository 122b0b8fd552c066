"""Stops and resumptions: the signed words of a site's people that nothing goes on there, and that it goes on again."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from policies.errors import NotAuthenticError, RefusedError
from policies.people.appointment import MAXIMUM_SIGNED_APPOINTMENT_BYTES, SignedAppointment
from policies.people.signer import Person, person_signature, require_person, require_role
from policies.statements.digests import digest
from policies.statements.schema import Digest, PartyId, PublicKey, Signature, StrictModel, Text, Timestamp

MAXIMUM_SIGNED_STOP_BYTES = MAXIMUM_SIGNED_APPOINTMENT_BYTES + 32 * 1024
_STOP_DOMAIN, _RESUMPTION_DOMAIN = "stop", "resumption"

Serial = Annotated[int, Field(ge=1, le=1_000_000)]
"""Which stop of its site it is, counted from 1."""


class Stop(StrictModel):
    """From here on nothing is approved, charged, run or released at this site."""

    version: Literal["cloister-stop/1"]
    site: PartyId
    serial: Serial
    reason: Text
    stopped_at: Timestamp

    def digest(self) -> str:
        """The digest by which a resumption names it."""
        return digest(_STOP_DOMAIN, self.canonical())


class SignedStop(StrictModel):
    """A stop under the signature of a person of the site."""

    stop: Stop
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


class Resumption(StrictModel):
    """The stop with this digest is over; any other, later one is not."""

    version: Literal["cloister-resumption/1"]
    site: PartyId
    stop: Digest
    resumed_at: Timestamp


class SignedResumption(StrictModel):
    """A resumption under the signature of a person of the site."""

    resumption: Resumption
    signer: PublicKey
    appointment: SignedAppointment | None
    signature: Signature


def sign_stop(private_key: Ed25519PrivateKey, appointment: SignedAppointment | None, stop: Stop) -> SignedStop:
    """Sign `stop`; `appointment` is the signer's, None for the owner."""
    return SignedStop(stop=stop, **person_signature(private_key, appointment, _STOP_DOMAIN, stop))


def verify_stop(signed: SignedStop, owner_key: bytes, site: PartyId) -> Person:
    """The person of `site` who stopped it; `owner_key` is the raw 32-byte key pinned for it.

    Raises:
        NotAuthenticError: nobody of this site signed it, something was changed, or it is another site's.
        RefusedError: its signer's role lets them decide nothing.
    """
    person = require_person(signed, signed.stop, owner_key, site, _STOP_DOMAIN, what="the stop")
    _require_decides(person, signed.stop.site, site, "stop")
    return person


def sign_resumption(
    private_key: Ed25519PrivateKey, appointment: SignedAppointment | None, resumption: Resumption
) -> SignedResumption:
    """Sign `resumption`; `appointment` is the signer's, None for the owner."""
    return SignedResumption(
        resumption=resumption, **person_signature(private_key, appointment, _RESUMPTION_DOMAIN, resumption)
    )


def verify_resumption(signed: SignedResumption, owner_key: bytes, standing: SignedStop) -> Person:
    """Who ended this very `standing` stop: the owner, or who stopped the site; `owner_key` is the raw 32 bytes.

    Raises:
        NotAuthenticError: nobody of this site signed it, something was changed, or it ends another stop.
        RefusedError: its signer's role lets them decide nothing, or another person than they stopped the site.
    """
    site = standing.stop.site
    person = require_person(signed, signed.resumption, owner_key, site, _RESUMPTION_DOMAIN, what="the resumption")
    _require_decides(person, signed.resumption.site, site, "resumption")
    if signed.resumption.stop != standing.stop.digest():
        raise NotAuthenticError("The resumption ends another stop than the one that stands.")
    if person.role != "owner" and signed.signer != standing.signer:
        raise RefusedError(f"{person.title} did not stop the site; only the owner, or who did, may resume it.")
    return person


def _require_decides(person: Person, stated: PartyId, site: PartyId, what: str) -> None:
    require_role(person, "owner", "reviewer", what="stop or resume a site")
    if stated != site:
        raise NotAuthenticError(f"The {what} is of another site; ask this site's owner for the right one.")
