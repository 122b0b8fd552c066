"""Appoint and dismiss people: the owner's signed word and the log entry in one transaction."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, update

from datasites.people.register import register_of
from datasites.protocol.person_key import require_owner_key
from datasites.site import Site
from datasites.store.peers import pinned_card, pinned_cards
from datasites.store.tables import people
from policies.errors import InvalidInputError
from policies.log.journal import append
from policies.log.people_entries import PersonAppointed, PersonDismissed
from policies.people.agreement import same_name
from policies.people.appointment import (
    AppointedRole,
    Appointment,
    Dismissal,
    sign_appointment,
    sign_dismissal,
)
from policies.statements.schema import PartyId, PublicKey


def appoint(
    connection: Connection,
    site: Site,
    owner_key: Ed25519PrivateKey,
    *,
    name: str,
    role: AppointedRole,
    key: PublicKey,
    researcher: PartyId | None,
) -> Appointment:
    """Give the person who holds `key` a role at this site.

    `researcher` is the party that the person is when they ask for something themselves, if they ever do.

    Raises:
        NotAuthenticError: the key that signs is not this datasite's owner's.
        ConflictError: the key serves already, or somebody in a role has that name or identity.
        InvalidInputError: no researcher of that identity is pinned here.
    """
    require_owner_key(owner_key, site.identity.card)
    card = None if researcher is None else pinned_card(connection, researcher)
    if researcher is not None and (card is None or card.role != "researcher"):
        raise InvalidInputError(
            f"No researcher {researcher[:16]}… is pinned here; «datasite peers list --json» names each one's party."
        )
    signed = sign_appointment(
        owner_key,
        Appointment(
            version="cloister-appointment/1",
            site=site.identity.party,
            name=name,
            role=role,
            key=key,
            researcher=researcher,
            appointed_at=site.now,
        ),
    )
    made = register_of(connection, site).appoint(signed, [it.party for it in pinned_cards(connection)])
    connection.execute(insert(people).values(key=made.key, appointment=signed.canonical().decode()))
    append(connection, PersonAppointed(at=made.appointed_at, signed=signed))
    return made


def dismiss(connection: Connection, site: Site, owner_key: Ed25519PrivateKey, *, name: str, reason: str) -> Appointment:
    """Take the role of the person called `name` away: what they decided stands, and they decide nothing more.

    Raises:
        NotAuthenticError: the key that signs is not this datasite's owner's.
        InvalidInputError: nobody of that name has a role here.
    """
    require_owner_key(owner_key, site.identity.card)
    register = register_of(connection, site)
    ended = _called(register.in_role(), name)
    signed = sign_dismissal(
        owner_key,
        Dismissal(
            version="cloister-dismissal/1",
            site=site.identity.party,
            key=ended.key,
            reason=reason,
            dismissed_at=site.now,
        ),
    )
    register.dismiss(signed)
    connection.execute(update(people).where(people.c.key == ended.key).values(dismissal=signed.canonical().decode()))
    append(connection, PersonDismissed(at=signed.dismissal.dismissed_at, signed=signed))
    return ended


def _called(in_role: Sequence[Appointment], name: str) -> Appointment:
    found = next((it for it in in_role if same_name(it.name, name)), None)
    if found is None:
        raise InvalidInputError(f"Nobody called «{name}» has a role here; «datasite people list» names those who have.")
    return found
