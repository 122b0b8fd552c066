"""The gate for revoked requests: the signed revocation counts, whatever status stands in another row."""

from sqlalchemy import Connection, select

from datasites.requests.records import Request
from datasites.site import Site
from datasites.store.tables import revocations
from policies.errors import NotAuthenticError, RefusedError
from policies.people.revocation import (
    MAXIMUM_SIGNED_REVOCATION_BYTES,
    Revocation,
    SignedRevocation,
    verify_revocation,
)
from policies.statements.schema import parse_model


def revocation_of(connection: Connection, site: Site, request: str) -> Revocation | None:
    """The word by which what was approved of `request` was taken back; None if it was not.

    Raises:
        NotAuthenticError: a revocation is stored that nobody of this site signed, or that is of another request.
    """
    found = select(revocations.c.statement).where(revocations.c.request == request)
    text = connection.execute(found).scalar_one_or_none()
    if text is None:
        return None
    maximum = MAXIMUM_SIGNED_REVOCATION_BYTES
    signed = parse_model(SignedRevocation, text.encode(), maximum_bytes=maximum, what="A stored revocation")
    verify_revocation(signed, site.owner_key, site.identity.party)
    if signed.revocation.request != request:
        raise NotAuthenticError("The stored revocation is of another request: somebody changed the database.")
    return signed.revocation


def require_not_revoked(connection: Connection, site: Site, request: str) -> None:
    """Raise RefusedError if the approval of `request` was revoked, NotAuthenticError if a stored word on it is forged.

    In both cases nothing of the request may be approved, run or released.
    """
    revocation = revocation_of(connection, site, request)
    if revocation is not None:
        raise RefusedError(f"Its approval was revoked: {revocation.reason}")


def is_revoked(connection: Connection, request: str) -> bool:
    """Whether a revocation of `request` is stored, by whomever: where one is, nothing of it is released."""
    found = select(revocations.c.request).where(revocations.c.request == request)
    return connection.execute(found).one_or_none() is not None


def rests_on_revoked(connection: Connection, request: Request) -> bool:
    """The same of a study, or of the one that people approved and that its approval by house rules rests on."""
    precedent = None if request.ground is None else request.ground.approval.precedent
    return any(is_revoked(connection, it) for it in (request.digest, precedent) if it is not None)
