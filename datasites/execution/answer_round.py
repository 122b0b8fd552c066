"""Answer a charged round once: masked while it comes, stored and logged in one transaction, sent once witnessed."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, Connection, delete, select, update

from datasites.execution.charge_round import Assignment
from datasites.execution.setup import require_roster, stored_roster
from datasites.execution.trainer_result import RoundResult
from datasites.halts.revoked import rests_on_revoked
from datasites.halts.stopped import is_stopped
from datasites.protocol.blobs import BlobReference
from datasites.protocol.messages import MaskedUpdateMessage
from datasites.requests.records import Status, find_request
from datasites.secure_averaging.advertisement import roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.layout import vector_length
from datasites.secure_averaging.site import masked_blocks
from datasites.site import Site
from datasites.store.engine import reading
from datasites.store.tables import mask_keys, rounds, runs
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.cohort import witnesses_of
from policies.errors import ConflictError
from policies.log.entries import RoundComputed
from policies.log.journal import append
from policies.masked_vector import running_vector_digest, sign_vector
from policies.statements.digests import keyed_commitment


@dataclass(frozen=True)
class Answer:
    """A round's one answer before it is stored: message, file, keyed commitment, and what held the trainer."""

    message: MaskedUpdateMessage
    file: str | None
    commitment: str
    layers: tuple[str, ...]


def answer_round(site: Site, done: Assignment, result: RoundResult) -> None:
    """Mask the result block by block as the trainer gives it, and store the answer; its mask key is then gone.

    The answer waits until the study's witnesses hold a checkpoint of the log that tells of it (`release_witnessed`):
    else a disk that was set back could answer the same round a second time, under the same masks.

    Raises:
        RefusedError: the result is not what the terms let this round release.
        NotAuthenticError: the stored roster was changed since the round was charged.
        ConflictError: the round has an answer already, or its study or the site was halted while it was computed.
        TrainerFailedError: the trainer did not give the whole result.
    """
    with masked(site, done, result) as answer, site.engine.begin() as connection:
        store_answer(connection, site, done, answer, site.moment(connection))


@contextmanager
def masked(site: Site, done: Assignment, result: RoundResult) -> Iterator[Answer]:
    """The masked result, large vectors in a file that is swept away unless `store_answer` is committed in this block.

    Until then nothing of it can be read by anybody: the file's key exists in this block alone.
    """
    terms, number, own = done.request.terms, done.round_number, site.identity.party
    with reading(site.engine) as connection:
        require_roster(connection, site, done.request, done.run)
        roster = stored_roster(connection.execute(select(runs.c.roster).where(_run_of(done))).scalar_one())
        key = connection.execute(select(mask_keys.c.private_key).where(_key_of(done))).scalar_one_or_none()
    if key is None:
        raise ConflictError("This round's mask key is spent; a round is answered once.")
    setup = setup_context(done.request.digest, done.run, roster_digest(roster))
    context = round_context(setup, number, done.model.digest)
    blocks = masked_blocks(terms, number, result.update, result.metrics, key, roster, own, context)
    length = vector_length(terms, number)
    digest = running_vector_digest(length)

    def pieces() -> Iterator[memoryview]:
        for block in blocks:
            piece = block.view(np.uint8).data
            digest.update(piece)
            yield piece

    with site.contents.enclosed(pieces(), 4 * length) as content:
        vector_digest = digest.hexdigest()
        message = MaskedUpdateMessage(
            study=terms.study,
            run=done.run,
            round=number,
            round_context=context.hex(),
            vector_digest=vector_digest,
            signature=sign_vector(site.identity.signing, own, context, vector_digest).hex(),
            update=content,
        )
        commitment = keyed_commitment(site.catalog_keys.commitment, "masked-update", bytes.fromhex(vector_digest))
        file = content.digest if isinstance(content, BlobReference) else None
        yield Answer(message, file, commitment, result.layers)


def store_answer(connection: Connection, site: Site, done: Assignment, answer: Answer, now: int) -> None:
    """Store and log the answer, and ask the study's witnesses to keep the log that tells of it.

    Raises:
        ConflictError: the round has an answer already, or its study or the site was halted while it was computed.
    """
    request, terms = done.request, done.request.terms
    now_stored = find_request(connection, request.digest)
    if now_stored is None or now_stored.status is not Status.RUNNING or now >= terms.expires_at:
        raise ConflictError("The study ended or expired while this round was computed; nothing was released.")
    if is_stopped(connection, site) or rests_on_revoked(connection, now_stored):
        raise ConflictError("The site was stopped, or the study's approval revoked, while this round was computed.")
    this_round = (rounds.c.request == request.digest) & (rounds.c.round == done.round_number)
    stored = connection.execute(
        update(rounds)
        .where(this_round, rounds.c.state == "charged", rounds.c.attempt == done.attempt)
        .values(
            state="computed",
            model_file=None,
            message=answer.message.canonical().decode(),
            update_file=answer.file,
            commitment=answer.commitment,
        )
    )
    spent = connection.execute(delete(mask_keys).where(_key_of(done)))
    if (stored.rowcount, spent.rowcount) != (1, 1):
        raise ConflictError("This round is not waiting for an answer; a charge backs one answer.")
    append(
        connection,
        RoundComputed(
            at=now,
            request=request.digest,
            round=done.round_number,
            attempt=done.attempt,
            round_context=answer.message.round_context,
            model=done.model.digest,
            output_commitment=answer.commitment,
            seconds=math.ceil(time.monotonic() - done.began),
            layers=answer.layers,
        ),
    )
    size = ask_witnesses(connection, site, witnesses_of(terms, site.identity.party), now)
    connection.execute(update(rounds).where(this_round).values(awaited_size=size))


def _run_of(done: Assignment) -> ColumnElement[bool]:
    return (runs.c.request == done.request.digest) & (runs.c.run == done.run)


def _key_of(done: Assignment) -> ColumnElement[bool]:
    return (mask_keys.c.request == done.request.digest) & (mask_keys.c.round == done.round_number)
