"""What the owner is shown beside a request: whether its approval was revoked, and what went out of it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from datasites.halts.revoked import revocation_of
from datasites.halts.went_out import WentOut, went_out
from datasites.site import Site
from policies.people.revocation import Revocation


@dataclass(frozen=True)
class Halts:
    """A request's revocation, if there is one, and everything that was handed to the mail of it."""

    revocation: Revocation | None
    went_out: tuple[WentOut, ...]


def halts_of(connection: Connection, site: Site, request: str) -> Halts:
    """The same of `request` as things stand now.

    Raises:
        NotAuthenticError: a revocation is stored that nobody of this site signed.
    """
    return Halts(revocation_of(connection, site, request), went_out(connection, request))
