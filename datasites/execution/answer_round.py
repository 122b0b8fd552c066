"""Answer a charged round once: masked, and stored in one transaction with its outgoing message and log entries."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select, update

from datasites.execution.charge_round import Assignment
from datasites.execution.setup import stored_roster
from datasites.protocol.content import wrap
from datasites.protocol.messages import MaskedUpdateMessage
from datasites.requests.close import close_request
from datasites.requests.records import Status, find_request
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.site import mask_update
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.store.tables import mask_keys, rounds, runs
from policies.disclosure.round_result import check_round_result
from policies.errors import ConflictError
from policies.log.entries import RoundComputed, UpdateReleased
from policies.log.journal import append
from policies.statements.digests import keyed_commitment


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
    if now_stored is None or now_stored.status is not Status.RUNNING or now >= terms.expires_at:
        raise ConflictError("The study ended or expired while this round was computed; nothing was released.")
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
    content, sealed = wrap(masked.vector)
    blob = None if sealed is None else b"".join(sealed.pieces(0))
    message = MaskedUpdateMessage(
        study=terms.study,
        run=run.run,
        round=done.round_number,
        round_context=context.hex(),
        vector_digest=masked.vector_digest,
        signature=masked.signature.hex(),
        update=content,
    )
    commitment = keyed_commitment(site.catalog_keys.commitment, "masked-update", masked.vector)
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == done.round_number)
    stored = connection.execute(
        update(rounds)
        .where(this_round, rounds.c.state == "charged", rounds.c.attempt == done.attempt)
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
            attempt=done.attempt,
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
