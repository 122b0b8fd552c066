"""Pinned parties: whose keys the owner checked out of band, and how far the numbering of messages with each is."""

from functools import lru_cache

from sqlalchemy import Connection, insert, select, update

from datasites.protocol.envelope import check_number
from datasites.protocol.identity import IdentityCard, parse_card
from datasites.store.tables import peers, people
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError
from policies.log.entries import MessageGap, PeerPinned
from policies.log.journal import append
from policies.statements.digests import digest


def pin(connection: Connection, card: IdentityCard, now: int) -> None:
    """Trust `card` from now on; pinning the same card again changes nothing.

    Raises:
        ConflictError: the same name or identity is pinned with other keys, or its key is one of this site's people's.
    """
    known = connection.execute(
        select(peers.c.card).where((peers.c.party == card.party) | (peers.c.name == card.name))
    ).scalars()
    others = set(known)
    if others == {card.canonical().decode()}:
        return
    if others:
        raise ConflictError(
            f"«{card.name}» is pinned with other keys; a party whose keys changed needs a new name, checked in person."
        )
    if connection.execute(select(people.c.number).where(people.c.key == card.signing_key)).first():
        raise ConflictError(f"«{card.name}» has the key of one of this site's people; a key serves one of the two.")
    connection.execute(
        insert(peers).values(
            party=card.party, name=card.name, role=card.role, card=card.canonical().decode(), pinned_at=now
        )
    )
    digest_of_card = digest("card", card.canonical())
    append(connection, PeerPinned(at=now, party=card.party, name=card.name, role=card.role, card=digest_of_card))


def pinned_card(connection: Connection, party: str) -> IdentityCard | None:
    """The card pinned for `party`, or None."""
    text = connection.execute(select(peers.c.card).where(peers.c.party == party)).scalar_one_or_none()
    return None if text is None else _card(text)


def require_card(connection: Connection, party: str) -> IdentityCard:
    """The card pinned for `party`.

    Raises:
        NotAuthenticError: nobody of that identity is pinned.
    """
    card = pinned_card(connection, party)
    if card is None:
        raise NotAuthenticError(f"No party {party[:16]}… is pinned here; exchange cards and add it with «peers add».")
    return card


def pinned_cards(connection: Connection) -> list[IdentityCard]:
    """All pinned cards by name."""
    texts = connection.execute(select(peers.c.card).order_by(peers.c.name)).scalars()
    return [_card(text) for text in texts]


@lru_cache(maxsize=1024)
def _card(text: str) -> IdentityCard:
    return parse_card(text.encode())


def take_number(connection: Connection, party: str, number: int, now: int) -> None:
    """Accept `number` as the newest from `party`, or refuse; a gap is logged.

    Raises:
        ConflictError: the number was used already: a replay, or mail out of order.
    """
    last = connection.execute(select(peers.c.incoming).where(peers.c.party == party)).scalar_one()
    missing = check_number(last, number)
    if missing:
        append(connection, MessageGap(at=now, sender=party, expected=last + 1, got=number))
    connection.execute(update(peers).where(peers.c.party == party).values(incoming=number))


def next_number(connection: Connection, party: str) -> int:
    """Reserve the next number for a message to `party`."""
    number = connection.execute(
        update(peers).where(peers.c.party == party).values(outgoing=peers.c.outgoing + 1).returning(peers.c.outgoing)
    ).scalar_one_or_none()
    if number is None:
        raise InvalidInputError(f"No party {party[:16]}… is pinned here, so it cannot be written to.")
    return int(number)
