"""Addresses that PySyft shows researchers under: asked for by a pinned researcher, accepted or not by the owner."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from datasites.protocol.identity import IdentityCard
from datasites.protocol.job_messages import PeerReply, PeerRequest
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.peers import require_card
from datasites.store.put import put
from datasites.store.tables import contacts
from policies.errors import ConflictError, InvalidInputError, RefusedError

_NOBODYS = ".invalid"
"""How addresses end under which researchers are shown who have none that was accepted."""


@dataclass(frozen=True)
class Contact:
    """A pinned researcher, the address it asked for, and the one that the owner accepted."""

    party: str
    name: str
    requested: str | None
    accepted: str | None


def ask_for_contact(
    connection: Connection, site: Site, sender: IdentityCard, message: PeerRequest, packages: Sequence[str], now: int
) -> None:
    """Note which address a pinned researcher wants to be shown under, and answer whether it is accepted already.

    The answer is the same whether somebody else is shown under it: who else writes here is nobody's business.

    Raises:
        RefusedError: the sender is no researcher, or the address is the owner's own or nobody's.
    """
    if sender.role != "researcher":
        raise RefusedError("Only researchers ask for an address.")
    asked = message.contact.lower()
    if asked == site.settings.contact.lower() or asked.endswith(_NOBODYS):
        raise RefusedError(f"{message.contact} cannot be a researcher's address here; ask for your own.")
    known = accepted_contact(connection, sender.party)
    if known != message.contact:
        put(connection, contacts, {"party": sender.party}, {"requested": message.contact})
    _reply(connection, site, sender.party, message.contact, known == message.contact, packages, now)


def all_contacts(connection: Connection) -> list[Contact]:
    """Every researcher that ever asked for an address."""
    rows = connection.execute(select(contacts).order_by(contacts.c.party)).all()
    return [Contact(row.party, require_card(connection, row.party).name, row.requested, row.accepted) for row in rows]


def accepted_contact(connection: Connection, party: str) -> str | None:
    """The address that `party` is shown under, or None."""
    found: str | None = connection.execute(select(contacts.c.accepted).where(contacts.c.party == party)).scalar()
    return found


def accept_contact(
    connection: Connection,
    site: Site,
    contact: str,
    packages: Sequence[str],
    now: int,
    name: str | None = None,
) -> Contact:
    """Show the pinned researcher who asked for it under `contact` from now on, and tell it so.

    Where several asked for it, `name`, as its card has it, says whose it is; the others have to ask for another one.

    Raises:
        InvalidInputError: nobody who is pinned asked for it, or nobody of that name.
        ConflictError: several did, or somebody is shown under it already, however spelt.
    """
    if name is not None:
        others = [it.party for it in all_contacts(connection) if it.requested == contact and it.name != name]
        connection.execute(update(contacts).where(contacts.c.party.in_(others)).values(requested=None))
    known = all_contacts(connection)
    asking = [it for it in known if it.requested == contact]
    if not asking:
        raise InvalidInputError(
            f"No pinned researcher asks to be shown as {contact}; pin its card with «datasite peers add», and let it "
            "ask again."
        )
    party = asking[0].party
    addresses = ((it.requested, it.accepted) for it in known if it.party != party)
    if contact.lower() in [address.lower() for pair in addresses for address in pair if address]:
        raise ConflictError(f"More than one researcher claims {contact}; name the one whom it belongs to with --name.")
    connection.execute(update(contacts).where(contacts.c.party == party).values(requested=None, accepted=contact))
    _reply(connection, site, party, contact, True, packages, now)
    return Contact(party, asking[0].name, None, contact)


def refuse_contact(connection: Connection, contact: str) -> None:
    """Forget that somebody asked for `contact`; who is shown under it already stays.

    Raises:
        InvalidInputError: nobody asks for it.
    """
    forgotten = connection.execute(update(contacts).where(contacts.c.requested == contact).values(requested=None))
    if not forgotten.rowcount:
        raise InvalidInputError(f"No researcher asks to be shown as {contact}.")


def _reply(
    connection: Connection, site: Site, party: str, contact: str, accepted: bool, packages: Sequence[str], now: int
) -> None:
    shown = packages if site.house_rules(connection).rules.shown.packages else ()
    reply = PeerReply(contact=site.settings.contact, accepted=accepted, packages=tuple(shown))
    enqueue(connection, party, reply, now)
