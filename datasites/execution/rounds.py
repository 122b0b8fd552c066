"""A round at one site: asked once, charged before the data is touched, computed once, answered with the same bytes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select, update

from datasites.execution.approval import require_approval
from datasites.execution.setup import stored_roster
from datasites.protocol.blobs import seal_blob
from datasites.protocol.messages import MaskedUpdateMessage, RoundRefused, RoundStart, parse_message
from datasites.requests.close import close_request
from datasites.requests.records import Request, Status, find_request, set_status
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.site import mask_update
from datasites.site import Site
from datasites.store.data_sets import DataSet
from datasites.store.outbox import enqueue, is_waiting
from datasites.store.tables import mask_keys, rounds, runs
from policies.budget.costs import round_mechanisms
from policies.budget.ledger import charge
from policies.disclosure.round_result import check_round_result
from policies.errors import ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.log.entries import ChargeMade, Mechanism, RoundComputed, UpdateReleased, round_step
from policies.log.journal import append
from policies.statements.digests import digest, keyed_commitment
from policies.terms import Terms


@dataclass(frozen=True)
class Assignment:
    """A round that has been charged: what the trainer needs to compute it."""

    request: Request
    data_set: DataSet
    run: str
    round_number: int
    model_digest: str
    model: NDArray[np.float32]


def parse_model_vector(data: bytes, terms: Terms) -> NDArray[np.float32]:
    """Read a global model as it travels: little-endian float32, one a parameter, all finite.

    Raises:
        InvalidInputError: another size, or values that are not finite.
    """
    if len(data) != 4 * terms.programs.parameter_count:
        raise InvalidInputError(
            f"The global model has {len(data)} bytes; the terms' {terms.programs.parameter_count} parameters need "
            f"{4 * terms.programs.parameter_count}."
        )
    model = np.frombuffer(data, "<f4")
    if not bool(np.isfinite(model).all()):
        raise InvalidInputError("The global model holds values that are not finite; lower the learning rate.")
    return model


def ask_round(connection: Connection, site: Site, sender: str, message: RoundStart, model: bytes, now: int) -> bool:
    """Take in a round; True if it is new and must be computed. One asked before is answered with the same bytes.

    Raises:
        RefusedError: the study is not approved, has no roster, or the round is out of turn.
        ConflictError: the round was asked before from another global model: the first one froze it.
    """
    request, _ = require_approval(connection, site, sender, message.study, now)
    terms = request.terms
    run = connection.execute(
        select(runs).where(runs.c.request == request.digest, runs.c.run == message.run)
    ).one_or_none()
    if run is None or run.roster is None:
        raise RefusedError("This run has no roster here; set it up first.")
    parse_model_vector(model, terms)
    model_digest = digest("global-model", model)
    known = connection.execute(
        select(rounds).where(rounds.c.request == request.digest, rounds.c.round == message.round)
    ).one_or_none()
    if known is not None:
        if known.model_digest != model_digest:
            raise ConflictError("This round was started from another global model before; one round opens one sum.")
        answer = None if known.message is None else parse_message(known.message.encode())
        if answer is not None and not is_waiting(connection, sender, answer):
            enqueue(connection, sender, answer, now, known.blob)
        return False
    computed = connection.execute(
        select(rounds.c.round).where(rounds.c.request == request.digest, rounds.c.state == "computed")
    ).scalars()
    expected = max(computed, default=0) + 1
    if message.round != expected or message.round > terms.sums:
        raise RefusedError(f"Round {message.round} is out of turn; this site expects round {expected} of {terms.sums}.")
    connection.execute(
        insert(rounds).values(
            request=request.digest,
            round=message.round,
            run=message.run,
            state="asked",
            model_digest=model_digest,
            model=model,
        )
    )
    set_status(connection, request.digest, Status.RUNNING, f"Round {message.round} of {terms.sums}.")
    return True


def charge_next_round(connection: Connection, site: Site, now: int) -> Assignment | None:
    """Charge the oldest round that waits, so that it may be computed; None if none waits.

    The approval is checked again here. A round that may not run any more is dropped and its researcher told.
    """
    row = connection.execute(select(rounds).where(rounds.c.state == "asked").limit(1)).one_or_none()
    if row is None:
        return None
    request = find_request(connection, row.request)
    assert request is not None  # noqa: S101 – a foreign key guarantees it
    try:
        _, data_set = require_approval(connection, site, request.sender, request.terms.study, now)
    except (RefusedError, NotAuthenticError) as error:
        connection.execute(delete(rounds).where(rounds.c.request == row.request, rounds.c.round == row.round))
        refusal = RoundRefused(study=request.terms.study, run=row.run, round=row.round, reason=str(error))
        enqueue(connection, request.sender, refusal, now)
        return None
    for partition, mechanism in round_mechanisms(request.terms, row.round).items():
        made = charge(connection, request.digest, partition, round_step(row.round), 1, mechanism, now)
        append(
            connection,
            ChargeMade(
                at=now,
                population=data_set.population,
                request=request.digest,
                partition=partition,
                step=round_step(row.round),
                attempt=1,
                mechanism=Mechanism(
                    noise_multiplier=mechanism.noise_multiplier,
                    sampling_rate=mechanism.sampling_rate,
                    steps=mechanism.steps,
                ),
                units=made.units,
            ),
        )
    connection.execute(
        update(rounds).where(rounds.c.request == row.request, rounds.c.round == row.round).values(state="charged")
    )
    model = parse_model_vector(row.model, request.terms)
    return Assignment(request, data_set, row.run, row.round, row.model_digest, model)


def answer_round(
    connection: Connection,
    site: Site,
    done: Assignment,
    trained: NDArray[np.float32] | None,
    metrics: NDArray[np.float64] | None,
    now: int,
) -> None:
    """Mask the result and store it with its outgoing message; the round's mask key is gone when this commits.

    Raises:
        RefusedError: the result is not what the terms let this round release.
        ConflictError: the round has an answer already, or its study ended while it was computed.
    """
    request, terms = done.request, done.request.terms
    now_stored = find_request(connection, request.digest)
    if now_stored is None or now_stored.status is not Status.RUNNING:
        raise ConflictError("The study ended while this round was computed; nothing was released.")
    check_round_result(terms, done.round_number, trained, metrics)
    run = connection.execute(select(runs).where(runs.c.request == request.digest)).one()
    key = connection.execute(
        select(mask_keys.c.private_key).where(
            mask_keys.c.request == request.digest, mask_keys.c.round == done.round_number
        )
    ).scalar_one_or_none()
    if key is None:
        raise ConflictError("This round's mask key is spent; a round is answered once.")
    roster = stored_roster(run.roster)
    setup = setup_context(request.digest, run.run, roster_digest(roster))
    context = round_context(setup, done.round_number, done.model_digest)
    masked = mask_update(
        terms, done.round_number, trained, metrics, key, roster, site.identity.party, context, site.identity.signing
    )
    reference, blob = seal_blob(masked.vector)
    message = MaskedUpdateMessage(
        study=terms.study,
        run=run.run,
        round=done.round_number,
        round_context=context.hex(),
        vector_digest=masked.vector_digest,
        signature=masked.signature.hex(),
        update=reference,
    )
    commitment = keyed_commitment(site.catalog_keys.commitment, "masked-update", masked.vector)
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == done.round_number)
    stored = connection.execute(
        update(rounds)
        .where(this_round, rounds.c.state == "charged")
        .values(state="computed", model=None, message=message.canonical().decode(), blob=blob)
    )
    if stored.rowcount != 1:
        raise ConflictError("This round is not waiting for an answer; a charge backs one answer.")
    connection.execute(
        delete(mask_keys).where(mask_keys.c.request == request.digest, mask_keys.c.round == done.round_number)
    )
    enqueue(connection, request.sender, message, now, blob)
    append(
        connection,
        RoundComputed(
            at=now,
            request=request.digest,
            round=done.round_number,
            attempt=1,
            round_context=context.hex(),
            model=done.model_digest,
            output_commitment=commitment,
        ),
    )
    append(
        connection,
        UpdateReleased(
            at=now,
            request=request.digest,
            round=done.round_number,
            recipient=request.sender,
            output_commitment=commitment,
        ),
    )
    if done.round_number == terms.sums:
        close_request(connection, request.digest, Status.DONE, "All rounds were computed.", now)


def burn_round(connection: Connection, request: Request, round_number: int, reason: str, now: int) -> None:
    """End the study because a charged round has no answer and cannot be computed under the same charge."""
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == round_number)
    run = connection.execute(select(rounds.c.run).where(this_round)).scalar_one()
    connection.execute(update(rounds).where(this_round).values(state="burned", model=None))
    refusal = RoundRefused(study=request.terms.study, run=run, round=round_number, reason=reason)
    enqueue(connection, request.sender, refusal, now)
    close_request(connection, request.digest, Status.FAILED, reason, now)


def burn_interrupted_rounds(connection: Connection, now: int) -> None:
    """After a restart: a round charged and not answered was interrupted; its charge stays spent."""
    for row in connection.execute(select(rounds).where(rounds.c.state == "charged")).all():
        request = find_request(connection, row.request)
        if request is not None:
            burn_round(
                connection, request, row.round, "The site stopped in the middle of a round; that charge is spent.", now
            )
