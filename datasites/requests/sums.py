"""Opened sums: a researcher's signed word that a round's sum holds this site's vector once, or evidence against it."""

from sqlalchemy import Connection, Row, select

from datasites.protocol.log_messages import SumOpenedMessage
from datasites.protocol.messages import MaskedUpdateMessage, parse_message
from datasites.requests.records import Request, find_study
from datasites.site import Site
from datasites.store.put import put
from datasites.store.tables import rounds, sums
from datasites.witnesses.ask import ask_witnesses
from datasites.witnesses.cohort import witnesses_of
from policies.errors import CloisterError, RefusedError
from policies.log.journal import append
from policies.log.witness_entries import SumDisputed, SumOpened
from policies.statements.schema import as_text
from policies.sums import OpenedSum, require_summand, verify_sum


def take_sum(connection: Connection, site: Site, sender: str, message: SumOpenedMessage, now: int) -> bool:
    """Log the sum of a round that this site answered; whether it is new.

    One that leaves this site out, counts it twice or names another vector, and a second one that differs, are logged as
    evidence against the researcher who signed them: one for each round.

    Raises:
        RefusedError: the sender has no such study here, or was given no answer to this round.
        NotAuthenticError: it is not signed by the study's researcher.
    """
    request = find_study(connection, sender, message.study)
    if request is None:
        raise RefusedError("This site knows no such study of yours.")
    opened = verify_sum(message.signed, request.terms)
    answer = _released(connection, request, opened.round)
    key = {"request": request.digest, "round": opened.round}
    known = _stored(connection, key)
    text = message.signed.canonical().decode()
    if known is not None and known.opened == text:
        return False
    reason = _dispute(site, request, opened, answer)
    if reason is None and (known is None or known.opened is None):
        put(connection, sums, key, {"opened": text})
        append(connection, SumOpened(at=now, signed=message.signed))
        if opened.round == request.terms.sums:
            # No round follows with which the witnesses would hear of it.
            ask_witnesses(connection, site, [*witnesses_of(request.terms, site.identity.party), sender], now)
        return True
    if known is None or known.disputed is None:
        put(connection, sums, key, {"disputed": text})
        told = reason or "The researcher signed another sum of this round before."
        append(connection, SumDisputed(at=now, signed=message.signed, reason=as_text(told)))
        return True
    return False


def _released(connection: Connection, request: Request, number: int) -> MaskedUpdateMessage:
    this_one = (rounds.c.request == request.digest, rounds.c.round == number, rounds.c.awaited_size.is_(None))
    text = connection.execute(select(rounds.c.message).where(*this_one)).scalar_one_or_none()
    answer = None if text is None else parse_message(text.encode())
    if not isinstance(answer, MaskedUpdateMessage):
        raise RefusedError(f"This site gave no answer to round {number}; no sum of it can hold one.")
    return answer


def _dispute(site: Site, request: Request, opened: OpenedSum, answer: MaskedUpdateMessage) -> str | None:
    key = bytes.fromhex(site.identity.card.signing_key)
    try:
        own = require_summand(opened, request.terms, site.identity.party, key, answer.round_context)
        if own.vector_digest != answer.vector_digest:
            raise RefusedError("The sum names another vector than the one this site answered with.")
    except CloisterError as error:
        return str(error)
    return None


def _stored(connection: Connection, key: dict[str, object]) -> Row[tuple[object, ...]] | None:
    this_one = (sums.c.request == key["request"], sums.c.round == key["round"])
    return connection.execute(select(sums).where(*this_one)).one_or_none()
