"""Appointments: the owner's signed word that a person decides, or audits, at one site under a key of their own."""

from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, StringConstraints

from policies.errors import NotAuthenticError
from policies.statements.schema import (
    PartyId,
    PublicKey,
    Signature,
    StrictModel,
    Text,
    Timestamp,
    one_line,
)
from policies.statements.signed import owner_signature, require_owner

MAXIMUM_SIGNED_APPOINTMENT_BYTES = 16 * 1024

PersonName = Annotated[Text, StringConstraints(max_length=100), AfterValidator(one_line)]
"""What people call a person."""

AppointedRole = Literal["reviewer", "auditor"]
"""A reviewer decides on requests; an auditor reads everything, decides nothing, and cosigns the log."""


class Appointment(StrictModel):
    """One person's role at one site. `researcher` is the person's own identity as a researcher, if they are one."""

    version: Literal["cloister-appointment/1"]
    site: PartyId
    name: PersonName
    role: AppointedRole
    key: PublicKey
    researcher: PartyId | None
    appointed_at: Timestamp


class SignedAppointment(StrictModel):
    """An appointment under the owner's signature."""

    appointment: Appointment
    owner_key: PublicKey
    signature: Signature


class Dismissal(StrictModel):
    """The owner's word that the person with this key has no role at the site any more."""

    version: Literal["cloister-dismissal/1"]
    site: PartyId
    key: PublicKey
    reason: Text
    dismissed_at: Timestamp


class SignedDismissal(StrictModel):
    """A dismissal under the owner's signature."""

    dismissal: Dismissal
    owner_key: PublicKey
    signature: Signature


def sign_appointment(owner_key: Ed25519PrivateKey, appointment: Appointment) -> SignedAppointment:
    """Sign `appointment` with the owner's key."""
    return SignedAppointment(appointment=appointment, **owner_signature(owner_key, "appointment", appointment))


def verify_appointment(signed: SignedAppointment, owner_key: bytes, site: PartyId) -> Appointment:
    """The appointment at `site`, if its owner (raw 32-byte key, pinned elsewhere) signed it.

    Raises:
        NotAuthenticError: another key signed it, something was changed, or it is another site's.
    """
    require_owner(signed, signed.appointment, owner_key, "appointment", what="the appointment")
    _require_site(signed.appointment, site, "appointment")
    return signed.appointment


def sign_dismissal(owner_key: Ed25519PrivateKey, dismissal: Dismissal) -> SignedDismissal:
    """Sign `dismissal` with the owner's key."""
    return SignedDismissal(dismissal=dismissal, **owner_signature(owner_key, "dismissal", dismissal))


def verify_dismissal(signed: SignedDismissal, owner_key: bytes, site: PartyId) -> Dismissal:
    """The dismissal at `site`, if its owner (raw 32-byte key, pinned elsewhere) signed it.

    Raises:
        NotAuthenticError: another key signed it, something was changed, or it is another site's.
    """
    require_owner(signed, signed.dismissal, owner_key, "dismissal", what="the dismissal")
    _require_site(signed.dismissal, site, "dismissal")
    return signed.dismissal


def _require_site(stated: Appointment | Dismissal, site: PartyId, what: str) -> None:
    if stated.site != site:
        raise NotAuthenticError(f"The {what} is of another site; ask this site's owner for the right one.")
