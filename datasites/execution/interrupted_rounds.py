"""Rounds without an answer: charged ones are computed again under a reserved retry or burned, others refused."""

from sqlalchemy import Connection, delete, func, select, update

from datasites.protocol.messages import RoundRefused
from datasites.requests.close import close_request
from datasites.requests.records import Request, Status, find_request
from datasites.store.outbox import enqueue
from datasites.store.tables import rounds

_STOPPED = "The site stopped in the middle of a round; that charge is spent."


def burn_round(connection: Connection, request: Request, round_number: int, reason: str, now: int) -> None:
    """End the study because a charged round has no answer and cannot be computed under the same charge."""
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == round_number)
    run = connection.execute(select(rounds.c.run).where(this_round)).scalar_one()
    connection.execute(update(rounds).where(this_round).values(state="burned", model_file=None))
    refusal = RoundRefused(study=request.terms.study, run=run, round=round_number, reason=reason)
    enqueue(connection, request.sender, refusal, now)
    close_request(connection, request.digest, Status.FAILED, reason, now)


def has_interrupted_rounds(connection: Connection) -> bool:
    """Whether a round is charged and not answered."""
    charged = select(rounds.c.round).where(rounds.c.state == "charged").limit(1)
    return connection.execute(charged).one_or_none() is not None


def retry_or_burn(connection: Connection, request: Request, round_number: int, reason: str, now: int) -> None:
    """Let a charged round that will get no answer be computed again under a reserved retry; without one, burn it.

    Its charge stays spent: the new attempt draws fresh noise and is charged anew. No masked byte of the lost attempt
    has left the site, so its mask still serves.
    """
    used = connection.execute(
        select(func.sum(rounds.c.attempt - 1)).where(rounds.c.request == request.digest)
    ).scalar_one()
    stored = find_request(connection, request.digest)
    if used < request.terms.training.retries and stored is not None and stored.status is Status.RUNNING:
        this_round = (rounds.c.request == request.digest) & (rounds.c.round == round_number)
        again = update(rounds).where(this_round).values(state="asked", attempt=rounds.c.attempt + 1)
        connection.execute(again)
    else:
        burn_round(connection, request, round_number, reason, now)


def take_up_interrupted_rounds(connection: Connection, now: int) -> None:
    """After a restart: a round that was charged and not answered is computed again under a retry, or ends its study."""
    for row in connection.execute(select(rounds).where(rounds.c.state == "charged")).all():
        request = find_request(connection, row.request)
        if request is not None:
            retry_or_burn(connection, request, row.round, _STOPPED, now)


def refuse_waiting_rounds(connection: Connection, reason: str, now: int) -> None:
    """Tell the researchers of all rounds that were asked for and not charged that they will not be computed."""
    for row in connection.execute(select(rounds).where(rounds.c.state == "asked")).all():
        request = find_request(connection, row.request)
        if request is None:
            continue
        connection.execute(delete(rounds).where(rounds.c.request == row.request, rounds.c.round == row.round))
        refusal = RoundRefused(study=request.terms.study, run=row.run, round=row.round, reason=reason)
        enqueue(connection, request.sender, refusal, now)
