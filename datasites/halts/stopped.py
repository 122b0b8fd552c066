"""The gate for a stopped site: while a stop stands, nothing is approved, charged, run or released."""

from sqlalchemy import Connection, select

from datasites.site import Site
from datasites.store.tables import stops
from policies.errors import CloisterError, RefusedError
from policies.people.stop import (
    MAXIMUM_SIGNED_STOP_BYTES,
    SignedResumption,
    SignedStop,
    verify_resumption,
)
from policies.statements.schema import parse_model

SITE_STOPPED = (
    "This site's owner has stopped everything on it for now; what waits here goes on when the owner resumes. Run the "
    "study again then: it continues where it was."
)


def standing_stop(connection: Connection, site: Site) -> SignedStop | None:
    """The newest stop, unless a resumption of this very stop, by the owner or who stopped the site, ended it."""
    row = connection.execute(select(stops).order_by(stops.c.serial.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    maximum = MAXIMUM_SIGNED_STOP_BYTES
    signed = parse_model(SignedStop, row.statement.encode(), maximum_bytes=maximum, what="A stored stop")
    if row.resumption is None:
        return signed
    try:
        resumption = parse_model(
            SignedResumption, row.resumption.encode(), maximum_bytes=maximum, what="A stored resumption"
        )
        verify_resumption(resumption, site.owner_key, signed)
    except CloisterError:  # a word that somebody put there, or an old one put there again, ends nothing
        return signed
    return None


def is_stopped(connection: Connection, site: Site) -> bool:
    """Whether a stop stands."""
    return standing_stop(connection, site) is not None


def require_not_stopped(connection: Connection, site: Site) -> None:
    """Raise RefusedError while a stop stands."""
    if is_stopped(connection, site):
        raise RefusedError(SITE_STOPPED)
