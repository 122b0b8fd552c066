"""Answer a charged round once: masked, stored and logged in one transaction, and sent once it is witnessed."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select, update

from datasites.execution.charge_round import Assignment
from datasites.execution.setup import stored_roster
from datasites.protocol.content import wrap
from datasites.protocol.messages import MaskedUpdateMessage
from datasites.requests.records import Status, find_request
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.signature import running_vector_digest, sign_vector
from datasites.secure_averaging.site import masked_blocks
from datasites.site import Site
from datasites.store.tables import mask_keys, rounds, runs
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.cohort import witnesses_of
from policies.errors import ConflictError
from policies.log.entries import RoundComputed
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
    """Mask the result and store it; the round's mask key is gone when this commits.

    The answer waits until the study's witnesses hold a checkpoint of the log that tells of it (`release_witnessed`):
    else a disk that was set back could answer the same round a second time, under the same masks.

    Raises:
        RefusedError: the result is not what the terms let this round release.
        ConflictError: the round has an answer already, or its study ended while it was computed.
    """
    request, terms = done.request, done.request.terms
    now_stored = find_request(connection, request.digest)
    if now_stored is None or now_stored.status is not Status.RUNNING or now >= terms.expires_at:
        raise ConflictError("The study ended or expired while this round was computed; nothing was released.")
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
    update_blocks = () if trained is None else (trained,)
    blocks = masked_blocks(terms, done.round_number, update_blocks, metrics, key, roster, site.identity.party, context)
    vector = b"".join(block.tobytes() for block in blocks)
    running = running_vector_digest(len(vector) // 4)
    running.update(vector)
    vector_digest = running.hexdigest()
    content, sealed = wrap(vector)
    blob = None if sealed is None else b"".join(sealed.pieces(0))
    message = MaskedUpdateMessage(
        study=terms.study,
        run=run.run,
        round=done.round_number,
        round_context=context.hex(),
        vector_digest=vector_digest,
        signature=sign_vector(site.identity.signing, site.identity.party, context, vector_digest).hex(),
        update=content,
    )
    commitment = keyed_commitment(site.catalog_keys.commitment, "masked-update", vector)
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == done.round_number)
    stored = connection.execute(
        update(rounds)
        .where(this_round, rounds.c.state == "charged", rounds.c.attempt == done.attempt)
        .values(state="computed", model=None, message=message.canonical().decode(), blob=blob, commitment=commitment)
    )
    if stored.rowcount != 1:
        raise ConflictError("This round is not waiting for an answer; a charge backs one answer.")
    connection.execute(
        delete(mask_keys).where(mask_keys.c.request == request.digest, mask_keys.c.round == done.round_number)
    )
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
    size = ask_witnesses(connection, site, witnesses_of(terms, site.identity.party), now)
    connection.execute(update(rounds).where(this_round).values(awaited_size=size))
