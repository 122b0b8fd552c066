"""Gossip: sites that share a study show each other the checkpoints that they keep, so that no log has two histories."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from datasites.protocol.log_messages import MOST_NOTES
from datasites.requests.records import Status, terms_in
from datasites.store.peers import pinned_card
from datasites.store.tables import witnessed
from datasites.witnesses.histories import accuse, may_be_lost
from datasites.witnesses.sightings import note_unproved, sighting_of
from policies.errors import InvalidInputError, NotAuthenticError
from policies.log.checkpoint import log_origin, parse_checkpoint
from policies.log.witness import head_of, is_fork, own_note

_SHARED = (Status.APPROVED, Status.RUNNING, Status.DONE)


def seen_with(connection: Connection, recipient: str) -> tuple[str, ...]:
    """The checkpoints kept here of sites that are with `recipient` in a cohort of an approved study: it knows of those.

    A researcher asks all sites of its studies itself, and is shown none.
    """
    cohorts = [{it.site for it in terms.cohort} for terms in terms_in(connection, *_SHARED)]
    known = set[str]().union(*(cohort for cohort in cohorts if recipient in cohort)) - {recipient}
    found = select(witnessed.c.checkpoint).where(witnessed.c.party.in_(known)).order_by(witnessed.c.party)
    return tuple(connection.execute(found.limit(MOST_NOTES)).scalars())


def compare(connection: Connection, own: str, seen: Sequence[str], now: int) -> None:
    """Compare checkpoints that somebody else keeps with those known here; `own` is this site's party id.

    One of a known size with another root is evidence against the log's site. One of an unknown size has to be proved by
    that site before any later checkpoint of it is kept. Logs that nobody here witnesses are passed over, what their
    pinned key did not sign, and what may belong to a history that its owner gave up.

    Raises:
        InvalidInputError: one is no checkpoint at all.
    """
    for shown in seen:
        party = parse_checkpoint(shown.encode())[0].origin.removeprefix(log_origin(""))
        card = pinned_card(connection, party) if party != own else None
        if card is None or card.role != "datasite" or not _is_kept(connection, party):
            continue
        try:
            head, note = head_of(card, shown), own_note(card, shown)
        except (InvalidInputError, NotAuthenticError):
            continue  # the log's site gave others another card: whoever hands its note on did nothing wrong
        known = sighting_of(connection, party, head.size)
        if may_be_lost(connection, card, head):
            continue
        if known is None:
            note_unproved(connection, party, head.size, note)
        elif is_fork(head_of(card, known), head):
            accuse(connection, card, known, note, now)


def _is_kept(connection: Connection, party: str) -> bool:
    found = select(witnessed.c.party).where(witnessed.c.party == party)
    return connection.execute(found).one_or_none() is not None
