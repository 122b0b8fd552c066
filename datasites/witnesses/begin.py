"""What a datasite that starts does first: it asks its witnesses anew, for it cannot know what happened to its disk."""

from sqlalchemy import Connection, update

from datasites.requests.records import Status, requests_in
from datasites.site import Site
from datasites.store.tables import witnesses
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.cohort import witnesses_of


def begin_anew(connection: Connection, site: Site, now: int) -> None:
    """Forget what witnesses confirmed to an earlier process, and ask those of every study that may still run."""
    connection.execute(update(witnesses).values(nonce=None, held_size=0))
    open_studies = requests_in(connection, Status.APPROVED, Status.RUNNING)
    asked = {party for it in open_studies for party in witnesses_of(it.terms, site.identity.party)}
    ask_witnesses(connection, site, sorted(asked), now)
