"""Approvals that wait until enough people signed the same; nobody but the site's people knows of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection, delete, insert, select

from datasites.people.register import register_of
from datasites.site import Site
from datasites.store.tables import approvals
from policies.decision import MAXIMUM_SIGNED_DECISION_BYTES, SignedDecision, verify_decision
from policies.errors import ConflictError, NotAuthenticError
from policies.jobs.decision import MAXIMUM_SIGNED_JOB_DECISION_BYTES, SignedJobDecision, verify_job_decision
from policies.jobs.release import MAXIMUM_SIGNED_RELEASE_BYTES, SignedRelease, verify_release
from policies.people.agreement import YES, Statement, needed
from policies.people.signer import Person
from policies.statements.schema import parse_model

Signed = TypeVar("Signed", SignedDecision, SignedJobDecision, SignedRelease)


@dataclass(frozen=True)
class Kind(Generic[Signed]):
    """What is approved: how its signed statements are read, and checked against the owner's key."""

    model: type[Signed]
    maximum_bytes: int
    statement: Callable[[Signed], Statement]
    verify: Callable[[Signed, bytes], Person]


STUDIES = Kind(SignedDecision, MAXIMUM_SIGNED_DECISION_BYTES, lambda it: it.decision, verify_decision)
JOBS = Kind(SignedJobDecision, MAXIMUM_SIGNED_JOB_DECISION_BYTES, lambda it: it.decision, verify_job_decision)
RELEASES = Kind(SignedRelease, MAXIMUM_SIGNED_RELEASE_BYTES, lambda it: it.release, verify_release)


@dataclass(frozen=True)
class Approvals:
    """Who has approved one thing so far, by name, and how many must."""

    by: tuple[str, ...]
    needed: int

    @property
    def missing(self) -> int:
        """How many more must approve."""
        return max(0, self.needed - len(self.by))


def take_approval(
    connection: Connection, site: Site, kind: Kind[Signed], request: str, signed: Signed
) -> tuple[Signed, ...]:
    """Count one more signature on `request`, the digest of its terms.

    Gives all that take the decision together; none as long as more are missing, and the new one waits for them.

    Raises:
        ConflictError: the same person signed it before.
        NotAuthenticError: one that waits is not what was signed: somebody changed the database.
    """
    statement = kind.statement(signed)
    subject = statement.subject()
    waiting = _waiting(connection, site, kind, subject)
    if any(it.signer == signed.signer for it in waiting):
        raise ConflictError("You approved this already; it waits for somebody else's approval.")
    if len(waiting) + 1 < needed(statement):
        text = signed.canonical().decode()
        row = insert(approvals).values(request=request, subject=subject, signer=signed.signer, statement=text)
        connection.execute(row)
        return ()
    forget_approvals(connection, request)
    waiting.append(signed)
    return tuple(waiting)


def approvals_of(connection: Connection, site: Site, kind: Kind[Signed], subject: str, wanted: int) -> Approvals:
    """Who has approved what has this subject digest, while it waits for `wanted` approvals in all."""
    waiting = _waiting(connection, site, kind, subject)
    return Approvals(tuple(kind.verify(it, site.owner_key).name for it in waiting), wanted)


def approvals_taken(site: Site, kind: Kind[Signed], signed: Sequence[Signed]) -> Approvals:
    """Who approved what was decided; nobody, if it was decided against."""
    statement = kind.statement(signed[0])
    people = signed if statement.verdict in YES else ()
    return Approvals(tuple(kind.verify(it, site.owner_key).name for it in people), statement.approvals)


def forget_approvals(connection: Connection, request: str) -> None:
    """Nothing waits for approvals of this request any more."""
    connection.execute(delete(approvals).where(approvals.c.request == request))


def forget_all_approvals(connection: Connection) -> None:
    """Nothing waits for approvals any more: people begin anew."""
    connection.execute(delete(approvals))


def _waiting(connection: Connection, site: Site, kind: Kind[Signed], subject: str) -> list[Signed]:
    found = select(approvals.c.statement).where(approvals.c.subject == subject).order_by(approvals.c.number)
    texts = connection.execute(found).scalars().all()
    if not texts:
        return []
    register, kept = register_of(connection, site), []
    for text in texts:
        signed = parse_model(kind.model, text.encode(), maximum_bytes=kind.maximum_bytes, what="An approval that waits")
        kind.verify(signed, site.owner_key)
        register.require_appointed(signed)
        if kind.statement(signed).subject() != subject:
            raise NotAuthenticError("An approval that waits is of something else: somebody changed the database.")
        if register.is_in_role(signed.signer):
            kept.append(signed)
    return kept
