"""Revoke: a person takes back what was approved of a study or a job; nothing more of it is charged, run or released."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select

from datasites.halts.revoked import is_revoked
from datasites.halts.went_out import WentOut, went_out
from datasites.people.decider import holder_of
from datasites.requests.close import revoke_request
from datasites.requests.jobs.close import revoke_job
from datasites.requests.jobs.records import Job, find_job_by_number
from datasites.requests.records import OPEN, Request, Status, find_request, request_by_number
from datasites.site import Site
from datasites.store.tables import requests, revocations
from policies.errors import ConflictError
from policies.log.journal import append
from policies.log.revocation_entries import ApprovalRevoked
from policies.people.revocation import Revocation, sign_revocation
from policies.statements.schema import as_text


@dataclass(frozen=True)
class Revoked:
    """What a revocation ended, and what had gone out before it.

    `with_it` are the numbers of the requests that ended too, as they rested on this approval.
    """

    number: int
    title: str
    with_it: tuple[int, ...]
    went_out: tuple[WentOut, ...]


def revoke(connection: Connection, site: Site, number: int, reason: str, key: Ed25519PrivateKey) -> Revoked:
    """Take back what was approved of request `number`, for good, as who holds `key`; its researcher reads `reason`.

    A round that is being computed is not answered, a job that runs is killed, what was reserved and not charged is
    returned, and answers and outputs that have not gone out are dropped. What house rules approved on the
    strength of this approval ends likewise.

    Raises:
        ConflictError: it was never approved, was revoked before, or has ended with nothing left that could happen.
        NotAuthenticError: the key is nobody's of this site.
        RefusedError: its holder was dismissed, or is an auditor.
    """
    holder = holder_of(connection, site, key)
    asked = find_job_by_number(connection, number) or request_by_number(connection, number)
    if is_revoked(connection, asked.digest):
        raise ConflictError(f"Request {number} was revoked before.")
    by_rules = not isinstance(asked, Job) and asked.ground is not None
    if not by_rules and (asked.decision is None or asked.decision.decision.verdict != "approve"):
        raise ConflictError(f"Request {number} is {asked.status}, and no approval of it stands; deny or cancel it.")
    now = site.moment(connection)
    statement = Revocation(
        version="cloister-revocation/1",
        site=site.identity.party,
        request=asked.digest,
        reason=as_text(reason),
        revoked_at=now,
    )
    signed = sign_revocation(holder.key, holder.appointment, statement)
    connection.execute(insert(revocations).values(request=asked.digest, statement=signed.canonical().decode()))
    append(connection, ApprovalRevoked(at=now, signed=signed))
    detail = f"Its approval was revoked: {reason}"
    if isinstance(asked, Job):
        revoke_job(connection, asked, detail, now)
        return Revoked(number, asked.terms.name, (), went_out(connection, asked.digest))
    revoke_request(connection, asked, detail, now)
    resting = _resting_on(connection, asked.digest)
    for request in resting:
        revoke_request(connection, request, f"The approval it rests on was revoked: {reason}", now)
    before = [it for request in (asked, *resting) for it in went_out(connection, request.digest)]
    return Revoked(number, asked.terms.title, tuple(it.number for it in resting), tuple(before))


def _resting_on(connection: Connection, precedent: str) -> list[Request]:
    """The requests that house rules approved as like `precedent`, and of which something can still happen."""
    names_it = requests.c.ground.contains(precedent, autoescape=True)
    alive = requests.c.status.in_((*OPEN, Status.DONE))
    found = select(requests.c.digest).where(names_it, alive).order_by(requests.c.number)
    stored = [find_request(connection, digest) for digest in connection.execute(found).scalars().all()]
    return [
        it for it in stored if it is not None and it.ground is not None and it.ground.approval.precedent == precedent
    ]
