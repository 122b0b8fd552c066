"""Charge a round before the data is touched, after its approval was checked once more."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from datasites.execution.approval import require_approval
from datasites.execution.setup import require_roster
from datasites.halts.stopped import is_stopped
from datasites.protocol.messages import RoundRefused
from datasites.requests.close import close_request
from datasites.requests.records import Request, Status, find_request
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.data_sets import DataSet
from datasites.store.outbox import enqueue
from datasites.store.tables import rounds
from datasites.witnesses.cohort import witnesses_of
from datasites.witnesses.hear import is_set_back, unconfirmed
from datasites.witnesses.histories import require_one_history
from policies.budget.costs import round_mechanisms
from policies.budget.ledger import charge
from policies.errors import CloisterError, NotAuthenticError, RefusedError
from policies.log.budget_entries import ChargeMade, Mechanism, round_step
from policies.log.journal import append
from policies.programs.digests import MODEL_DOMAIN
from policies.statements.schema import as_text


@dataclass(frozen=True)
class Assignment:
    """A round that has been charged, on the monotonic clock at `began`: what the trainer needs to compute it."""

    request: Request
    data_set: DataSet
    run: str
    round_number: int
    attempt: int
    model: SavedFile
    began: float = field(default_factory=time.monotonic)


def _always(_connection: Connection, _request: Request) -> bool:
    return True


def charge_next_round(
    connection: Connection, site: Site, now: int, is_ready: Callable[[Connection, Request], bool] = _always
) -> Assignment | None:
    """Charge the round that waits longest, so that it may be computed; None if none waits, or it may not run any more.

    A round waits on while a witness of its study has not yet confirmed, since the round was asked for and this process
    began, that this site's disk was not set back. Approval, roster and global model are checked again here. A round
    that may not run or be charged is dropped and its researcher told; if what is stored was changed, its study ends.
    """
    row = next_round(connection, site, is_ready)
    if row is None:
        return None
    request = find_request(connection, row.request)
    assert request is not None  # noqa: S101 – a foreign key guarantees it
    this_round = (rounds.c.request == row.request) & (rounds.c.round == row.round)
    model = SavedFile(row.model_file, row.model_digest)
    try:
        _, data_set = require_approval(connection, site, request.sender, request.terms.study, now)
        require_one_history(connection, request.terms)
        require_roster(connection, site, request, row.run)
        if not site.contents.holds(model, MODEL_DOMAIN):
            raise NotAuthenticError("The stored global model is not the one that was asked for; nothing was run.")
        with connection.begin_nested():
            _charge(connection, request, data_set, row.round, row.attempt, now)
    except CloisterError as error:
        connection.execute(delete(rounds).where(this_round))
        reason = as_text(str(error))
        refusal = RoundRefused(study=request.terms.study, run=row.run, round=row.round, reason=reason)
        enqueue(connection, request.sender, refusal, now)
        if not isinstance(error, RefusedError):
            close_request(connection, request.digest, Status.FAILED, reason, now)
        return None
    connection.execute(update(rounds).where(this_round).values(state="charged"))
    return Assignment(request, data_set, row.run, row.round, row.attempt, model)


def next_round(
    connection: Connection, site: Site, is_ready: Callable[[Connection, Request], bool] = _always
) -> Row[tuple[Any, ...]] | None:
    """The row of the round that waits longest among those that may be charged now, or None.

    Args:
        is_ready: whether everything is there that a request's round needs; until then nothing is spent on it.
    """
    if is_set_back(connection) or is_stopped(connection, site):
        return None
    waiting = select(rounds.c.request, rounds.c.round).where(rounds.c.state == "asked").order_by(rounds.c.turn)
    for name, number in connection.execute(waiting).tuples().all():
        request = find_request(connection, name)
        if request is None or unconfirmed(connection, witnesses_of(request.terms, site.identity.party)):
            continue
        if not is_ready(connection, request):
            continue
        this_one = select(rounds).where(rounds.c.request == name, rounds.c.round == number)
        return connection.execute(this_one).one()
    return None


def _charge(
    connection: Connection, request: Request, data_set: DataSet, round_number: int, attempt: int, now: int
) -> None:
    step = round_step(round_number)
    for partition, mechanism in round_mechanisms(request.terms, round_number).items():
        made = charge(connection, request.digest, partition, step, attempt, mechanism, now)
        entry = ChargeMade(
            at=now,
            population=data_set.population,
            request=request.digest,
            partition=partition,
            step=step,
            attempt=attempt,
            mechanism=Mechanism(
                noise_multiplier=mechanism.noise_multiplier,
                sampling_rate=mechanism.sampling_rate,
                steps=mechanism.steps,
            ),
            units=made.units,
        )
        append(connection, entry)
