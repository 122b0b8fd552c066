"""What this site hands to auditors: its own log with what others cosigned, and what it keeps of others' logs."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from datasites.site import Site
from datasites.store.peers import require_card
from datasites.store.tables import sightings, two_histories, witnessed
from datasites.witnesses.cosignatures import cosigned_notes
from policies.log.bundle import MOST_COSIGNED, SiteFacts
from policies.log.cosignature import cosign
from policies.log.journal import export_bundle


@dataclass(frozen=True)
class Held:
    """A checkpoint, signed by the site called `name`, that is held here of its log.

    `kept` is the newest one that is witnessed, and is cosigned; `unproved` is one that somebody else showed, and that
    the log has yet to be shown to continue; `first` and `second` are evidence of two histories.
    """

    name: str
    party: str
    standing: str
    size: int
    note: bytes


def site_facts(site: Site) -> SiteFacts:
    """What this site's card says of its keys, as bundles and receipts carry it."""
    card = site.identity.card
    return SiteFacts(
        name=card.name, signing_key=card.signing_key, log_key=card.log_key or "", owner_key=card.owner_key or ""
    )


def export_log(connection: Connection, site: Site) -> bytes:
    """The whole log with its signed checkpoint and the newest that each witness cosigned, as one file."""
    newest = list(cosigned_notes(connection).values())[-MOST_COSIGNED:]
    return export_bundle(connection, site.log_key, site_facts(site), newest)


def held_of_others(connection: Connection, site: Site) -> list[Held]:
    """Every checkpoint of another site's log that an auditor of that site should compare with what it is shown."""
    return [
        Held(require_card(connection, party).name, party, standing, _size(note), _handed_out(site, standing, note))
        for party, standing, note in _notes(connection)
    ]


def _notes(connection: Connection) -> Iterator[tuple[str, str, str]]:
    for row in connection.execute(select(witnessed).order_by(witnessed.c.party)):
        yield row.party, "kept", row.checkpoint
    for row in connection.execute(select(sightings).where(sightings.c.proved == 0).order_by(sightings.c.party)):
        yield row.party, "unproved", row.checkpoint
    for row in connection.execute(select(two_histories).order_by(two_histories.c.party)):
        yield row.party, "first", row.first
        yield row.party, "second", row.second


def _size(note: str) -> int:
    return int(note.split("\n", 2)[1])


def _handed_out(site: Site, standing: str, note: str) -> bytes:
    if standing != "kept":
        return note.encode()  # a witness vouches for one history only
    return cosign(site.identity.cosigning, site.identity.party, note.encode(), site.now)
