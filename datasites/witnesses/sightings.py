"""Sightings: checkpoints of other sites' logs that were kept here, or that somebody else keeps and showed."""

from sqlalchemy import Connection, delete, select

from datasites.store.put import put
from datasites.store.tables import sightings

_MOST_OF_A_SITE = 100


def sighting_of(connection: Connection, party: str, size: int) -> str | None:
    """The checkpoint of `party`'s log at `size` entries that was seen here, or None."""
    at_size = (sightings.c.party == party, sightings.c.size == size)
    return connection.execute(select(sightings.c.checkpoint).where(*at_size)).scalar_one_or_none()


def unproved(connection: Connection, party: str) -> str | None:
    """The checkpoint of `party`'s log that somebody else showed, and that it has yet to prove to continue; or None."""
    open_one = (sightings.c.party == party, sightings.c.proved == 0)
    return connection.execute(select(sightings.c.checkpoint).where(*open_one).limit(1)).scalar_one_or_none()


def note_proved(connection: Connection, party: str, size: int, checkpoint: str) -> None:
    """The log of `party` was shown to continue, at this checkpoint, all that was seen of it; the newest 100 stay."""
    open_one = (sightings.c.party == party, sightings.c.proved == 0)
    connection.execute(sightings.update().where(*open_one).values(proved=1))
    put(connection, sightings, {"party": party, "size": size}, {"checkpoint": checkpoint, "proved": 1})
    of_party = select(sightings.c.size).where(sightings.c.party == party)
    too_old = of_party.order_by(sightings.c.size.desc()).offset(_MOST_OF_A_SITE).limit(1)
    oldest = connection.execute(too_old).scalar_one_or_none()
    if oldest is not None:
        connection.execute(delete(sightings).where(sightings.c.party == party, sightings.c.size <= oldest))


def note_unproved(connection: Connection, party: str, size: int, checkpoint: str) -> None:
    """Somebody showed this checkpoint of `party`'s log. One at a time waits to be proved; others are shown again."""
    if unproved(connection, party) is None:
        put(connection, sightings, {"party": party, "size": size}, {"checkpoint": checkpoint, "proved": 0})
