"""Release answers: each goes to its researcher once the study's witnesses hold a checkpoint that tells of it."""

from sqlalchemy import Connection, select, update

from datasites.halts.revoked import rests_on_revoked
from datasites.halts.stopped import is_stopped
from datasites.protocol.messages import parse_message
from datasites.requests.close import close_request
from datasites.requests.records import Status, find_request
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.tables import rounds
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.cohort import witnesses_of
from datasites.witnesses.hear import is_set_back, unconfirmed
from policies.log.entries import UpdateReleased
from policies.log.journal import append


def release_witnessed(connection: Connection, site: Site, now: int) -> bool:
    """Hand to the mail every answer that waits and that all its witnesses know of; the last one ends its study.

    Gives whether there was one.
    """
    released = False
    if is_set_back(connection) or is_stopped(connection, site):
        return released
    for row in connection.execute(select(rounds).where(rounds.c.awaited_size.is_not(None))).all():
        request = find_request(connection, row.request)
        if request is None or request.status is not Status.RUNNING or now >= request.terms.expires_at:
            continue
        if rests_on_revoked(connection, request):
            continue
        if unconfirmed(connection, witnesses_of(request.terms, site.identity.party), row.awaited_size):
            continue
        released = True
        enqueue(connection, request.sender, parse_message(row.message.encode()), now, row.update_file)
        append(
            connection,
            UpdateReleased(
                at=now,
                request=row.request,
                round=row.round,
                recipient=request.sender,
                output_commitment=row.commitment,
            ),
        )
        this_round = (rounds.c.request == row.request) & (rounds.c.round == row.round)
        connection.execute(update(rounds).where(this_round).values(awaited_size=None))
        if row.round == request.terms.sums:
            close_request(connection, row.request, Status.DONE, "All rounds were computed.", now)
        # The researcher witnesses, too; nothing ever waits for its answer.
        ask_witnesses(connection, site, [request.sender], now)
    return released
