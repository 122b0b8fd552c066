"""Take in a round: asked once, frozen by its first global model, answered again with the same bytes."""

from collections.abc import Iterable, Iterator

import numpy as np
from sqlalchemy import Connection, func, insert, select

from datasites.execution.approval import require_approval
from datasites.protocol.messages import RoundStart, parse_message
from datasites.requests.records import Status, set_status
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.outbox import enqueue, is_waiting
from datasites.store.tables import rounds, runs
from datasites.witnesses.ask import ask_again, ask_anew
from datasites.witnesses.cohort import witnesses_of
from datasites.witnesses.hear import require_not_set_back, unconfirmed
from datasites.witnesses.histories import require_one_history
from policies.errors import ConflictError, InvalidInputError, RefusedError
from policies.terms import Terms


def checked_model(pieces: Iterable[bytes], terms: Terms) -> Iterator[bytes]:
    """Hand on a global model as it travels: little-endian float32, one a parameter, all finite.

    Raises:
        InvalidInputError: another size, or values that are not finite.
    """
    left, started = 4 * terms.programs.parameter_count, b""
    for piece in pieces:
        left -= len(piece)
        content = started + piece
        whole = len(content) // 4 * 4
        if not bool(np.isfinite(np.frombuffer(content[:whole], "<f4")).all()):
            raise InvalidInputError("The global model holds values that are not finite; lower the learning rate.")
        started = content[whole:]
        yield piece
    if left:
        raise InvalidInputError(
            f"The global model has {-left} bytes more than the {4 * terms.programs.parameter_count} that the terms' "
            f"{terms.programs.parameter_count} parameters need."
        )


def ask_round(connection: Connection, site: Site, sender: str, message: RoundStart, model: SavedFile, now: int) -> bool:
    """Take in a round; True if it is new and must be computed. One asked before is answered with the same bytes.

    Raises:
        RefusedError: the study is not approved, has no roster, or the round is out of turn.
        ConflictError: the round was asked before from another global model: the first one froze it.
    """
    require_not_set_back(connection)
    request, _ = require_approval(connection, site, sender, message.study, now)
    require_one_history(connection, request.terms)
    terms = request.terms
    witnesses = witnesses_of(terms, site.identity.party)
    run = connection.execute(
        select(runs).where(runs.c.request == request.digest, runs.c.run == message.run)
    ).one_or_none()
    if run is None or run.roster is None:
        raise RefusedError("This run has no roster here; set it up first.")
    known = connection.execute(
        select(rounds).where(rounds.c.request == request.digest, rounds.c.round == message.round)
    ).one_or_none()
    if known is not None:
        if known.model_digest != model.digest:
            raise ConflictError("This round was started from another global model before; one round opens one sum.")
        if known.message is not None and known.awaited_size is None:
            answer = parse_message(known.message.encode())
            if not is_waiting(connection, sender, answer):
                enqueue(connection, sender, answer, now, known.update_file)
        ask_again(connection, site, unconfirmed(connection, witnesses, known.awaited_size or 1), now)
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
            attempt=1,
            turn=select(func.coalesce(func.max(rounds.c.turn), 0) + 1).scalar_subquery(),
            model_digest=model.digest,
            model_file=model.name,
        )
    )
    ask_anew(connection, site, witnesses, now)
    set_status(connection, request.digest, Status.RUNNING, f"Round {message.round} of {terms.sums}.")
    return True
