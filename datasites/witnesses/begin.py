"""What a datasite that starts does first: it asks every datasite it knows, for it cannot know what its disk forgot."""

from sqlalchemy import Connection

from datasites.site import Site
from datasites.store.peers import pinned_cards
from datasites.witnesses.ask import ask_anew


def begin_anew(connection: Connection, site: Site, now: int) -> None:
    """Forget what witnesses confirmed to an earlier process, and ask all pinned datasites.

    All, and not the witnesses of open studies alone: a disk that was set back has forgotten the studies since.
    """
    ask_anew(connection, site, [it.party for it in pinned_cards(connection) if it.role == "datasite"], now)
