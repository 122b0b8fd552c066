"""Who signed: a statement by a person of one site, under the owner's key or one that the owner appointed."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, TypedDict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import NotAuthenticError, RefusedError
from policies.people.appointment import AppointedRole, SignedAppointment, verify_appointment
from policies.statements.schema import PartyId, PublicKey, StrictModel
from policies.statements.signed import sign, verify

Role = AppointedRole | Literal["owner"]
OWNER_NAME = "the owner"
DECIDERS: tuple[Role, ...] = ("owner", "reviewer")
"""Who may decide on requests and outputs."""


@dataclass(frozen=True)
class Person:
    """Somebody with a role at one site; the owner's name stands on no appointment."""

    role: Role
    key: PublicKey
    name: str = OWNER_NAME
    researcher: PartyId | None = None

    @property
    def title(self) -> str:
        """The name as a sentence begins with it."""
        return "The owner" if self.role == "owner" else self.name


def person_of(key: PublicKey, appointment: SignedAppointment | None) -> Person:
    """The person whose key and appointment were checked already; without an appointment, the owner."""
    if appointment is None:
        return Person("owner", key)
    made = appointment.appointment
    return Person(made.role, key, made.name, made.researcher)


class PersonSigned(Protocol):
    """A statement with the key of the person who signed it (hexadecimal), and that person's appointment unless owner.

    A concrete one is a model with these fields beside the statement, made by `person_signature`.
    """

    @property
    def signer(self) -> PublicKey:
        """The raw 32 bytes."""

    @property
    def appointment(self) -> SignedAppointment | None:
        """The owner's word on that key; None where it is the owner's own."""

    @property
    def signature(self) -> str:
        """The 64 bytes."""


class PersonSignature(TypedDict):
    """The fields that `person_signature` gives to a `PersonSigned` model."""

    signer: PublicKey
    appointment: SignedAppointment | None
    signature: str


def person_signature(
    private_key: Ed25519PrivateKey, appointment: SignedAppointment | None, domain: str, statement: StrictModel
) -> PersonSignature:
    """Sign `statement` under `domain`; `appointment` is the signer's, None for the owner."""
    return PersonSignature(
        signer=private_key.public_key().public_bytes_raw().hex(),
        appointment=appointment,
        signature=sign(private_key, domain, statement.canonical()).hex(),
    )


def require_person(
    signed: PersonSigned, statement: StrictModel, owner_key: bytes, site: PartyId, domain: str, *, what: str
) -> Person:
    """The person of `site` who signed `statement`; `owner_key` is the raw 32-byte key pinned for it.

    Whether an appointed person has been dismissed since is for the log or the database to say.

    Raises:
        NotAuthenticError: naming `what`: no such person signed it, or it is not the statement that was signed.
    """
    person = _person(signed, owner_key, site, what)
    verify(bytes.fromhex(person.key), bytes.fromhex(signed.signature), domain, statement.canonical(), what=what)
    return person


def require_role(person: Person, *roles: Role, what: str) -> None:
    """Check that `person` may do `what`.

    Raises:
        RefusedError: naming the role that the person has, and who may.
    """
    if person.role not in roles:
        raise RefusedError(f"{person.name} is {person.role} here, and may not {what}; that takes {' or '.join(roles)}.")


def require_decider(
    signed: PersonSigned, statement: StrictModel, owner_key: bytes, site: PartyId, domain: str, *, what: str
) -> Person:
    """The same, if that person may decide: the owner or a reviewer.

    Raises:
        NotAuthenticError: naming `what`: no such person signed it, or it is not the statement that was signed.
        RefusedError: the person who signed it is an auditor.
    """
    person = require_person(signed, statement, owner_key, site, domain, what=what)
    require_role(person, *DECIDERS, what="decide")
    return person


_verified_appointment = lru_cache(maxsize=256)(verify_appointment)  # few people sign much


def _person(signed: PersonSigned, owner_key: bytes, site: PartyId, what: str) -> Person:
    if signed.appointment is None:
        if signed.signer != owner_key.hex():
            raise NotAuthenticError(
                f"{what.capitalize()} is signed by a key that is neither the owner's nor appointed by the owner."
            )
        return person_of(signed.signer, None)
    appointment = _verified_appointment(signed.appointment, owner_key, site)
    if appointment.key != signed.signer:
        raise NotAuthenticError(f"{what.capitalize()} is signed by another key than the one on its appointment.")
    return person_of(signed.signer, signed.appointment)
