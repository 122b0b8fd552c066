"""Stop everything on the site with one word, and resume with another: signed, and each resumption for one stop."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, func, insert, select, update

from datasites.execution.release_round import release_witnessed
from datasites.halts.stopped import SITE_STOPPED, standing_stop
from datasites.people.decider import holder_of
from datasites.protocol.messages import RoundRefused
from datasites.requests.records import Status, find_request
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.tables import rounds, stops
from policies.errors import ConflictError
from policies.log.journal import append
from policies.log.stop_entries import SiteResumed, SiteStopped
from policies.people.stop import Resumption, Stop, sign_resumption, sign_stop, verify_resumption, verify_stop
from policies.statements.schema import as_text


def stop_site(connection: Connection, site: Site, reason: str, key: Ed25519PrivateKey) -> Stop:
    """Stop everything: nothing is approved, charged, run or released until `resume_site`.

    What waits stays as it is. Researchers whose rounds wait are told that the site is stopped, not why.

    Raises:
        ConflictError: the site is stopped already.
        NotAuthenticError: the key is nobody's of this site.
        RefusedError: its holder was dismissed, or is an auditor.
    """
    holder = holder_of(connection, site, key)
    standing = standing_stop(connection, site)
    if standing is not None:
        raise ConflictError(f"The site is stopped already: {standing.stop.reason}")
    now = site.now
    before: int | None = connection.execute(select(func.max(stops.c.serial))).scalar_one()
    stop = Stop(
        version="cloister-stop/1",
        site=site.identity.party,
        serial=(before or 0) + 1,
        reason=as_text(reason),
        stopped_at=now,
    )
    signed = sign_stop(holder.key, holder.appointment, stop)
    connection.execute(insert(stops).values(serial=stop.serial, statement=signed.canonical().decode()))
    append(connection, SiteStopped(at=now, signed=signed))
    _tell_of_waiting_rounds(connection, now)
    return stop


def resume_site(connection: Connection, site: Site, key: Ed25519PrivateKey) -> Stop:
    """End the stop that stands, and release what witnesses confirmed meanwhile; gives the stop.

    Raises:
        ConflictError: the site is not stopped.
        NotAuthenticError: the key is nobody's of this site, or nobody of it signed the stop that stands.
        RefusedError: its holder was dismissed, is an auditor, or is neither the owner nor who stopped the site.
    """
    holder = holder_of(connection, site, key)
    standing = standing_stop(connection, site)
    if standing is None:
        raise ConflictError("The site is not stopped; there is nothing to resume.")
    verify_stop(standing, site.owner_key, site.identity.party)
    now, stop = site.now, standing.stop
    resumption = Resumption(
        version="cloister-resumption/1", site=site.identity.party, stop=stop.digest(), resumed_at=now
    )
    signed = sign_resumption(holder.key, holder.appointment, resumption)
    verify_resumption(signed, site.owner_key, standing)
    this_one = update(stops).where(stops.c.serial == stop.serial)
    connection.execute(this_one.values(resumption=signed.canonical().decode()))
    append(connection, SiteResumed(at=now, signed=signed))
    release_witnessed(connection, site, now)
    return stop


def _tell_of_waiting_rounds(connection: Connection, now: int) -> None:
    waits = rounds.c.state.in_(["asked", "charged"]) | rounds.c.awaited_size.is_not(None)
    for row in connection.execute(select(rounds).where(waits)).all():
        request = find_request(connection, row.request)
        if request is not None and request.status is Status.RUNNING:
            refusal = RoundRefused(study=request.terms.study, run=row.run, round=row.round, reason=SITE_STOPPED)
            enqueue(connection, request.sender, refusal, now)
