"""Who decides: the person whose key is at hand, if they have a role that lets them decide on this request."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from datasites.people.register import register_of
from datasites.site import Site
from policies.errors import RefusedError
from policies.people.agreement import require_not_own
from policies.people.appointment import SignedAppointment
from policies.people.rules import require_approver
from policies.people.signer import DECIDERS, Person, person_of, require_role
from policies.statements.schema import PartyId


@dataclass(frozen=True)
class Decider:
    """A person who may decide, their appointment unless they are the owner, and the key to sign with."""

    person: Person
    appointment: SignedAppointment | None
    key: Ed25519PrivateKey = field(repr=False)


def holder_of(connection: Connection, site: Site, key: Ed25519PrivateKey) -> Decider:
    """Whoever holds `key`, if their role lets them decide.

    Raises:
        NotAuthenticError: the key is neither the owner's nor one that the owner appointed.
        RefusedError: its holder was dismissed, or is an auditor.
    """
    public, register = key.public_key().public_bytes_raw().hex(), register_of(connection, site)
    appointment = register.appointment_of(public)
    person = person_of(public, appointment)
    if not register.is_in_role(public):
        raise RefusedError(f"{person.name} was dismissed, and decides no more; ask the owner.")
    require_role(person, *DECIDERS, what="decide")
    return Decider(person, appointment, key)


def decider_of(connection: Connection, site: Site, key: Ed25519PrivateKey, researcher: PartyId) -> Decider:
    """Whoever holds `key`, if they may decide on what `researcher` asked for.

    Raises:
        NotAuthenticError: the key is neither the owner's nor one that the owner appointed.
        RefusedError: its holder was dismissed, is an auditor, asked for it, or is not named by the house rules.
    """
    decider = holder_of(connection, site, key)
    require_approver(site.house_rules(connection).rules.approvals, decider.person)
    require_not_own(decider.person, researcher)
    return decider
