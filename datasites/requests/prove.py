"""Receipts from this site's log: what it says of a study and of its rounds, each entry proved under a checkpoint."""

from collections.abc import Callable

from sqlalchemy import Connection

from datasites.protocol.log_messages import MOST_PROVED_ROUNDS, ProofReply, ProofRequest
from datasites.requests.records import Request, find_study
from datasites.site import Site
from datasites.store.outbox import enqueue
from datasites.witnesses.cosignatures import cosigned_notes
from datasites.witnesses.export import site_facts
from policies.errors import RefusedError
from policies.log.checkpoint import Checkpoint, log_origin, sign_checkpoint
from policies.log.entries import (
    DecisionTaken,
    LogEntry,
    RequestReceived,
    RoundComputed,
    UpdateReleased,
    parse_entry,
)
from policies.log.journal import entry_bytes, leaf_hashes
from policies.log.merkle import tree_head
from policies.log.receipt import Receipt, make_receipt
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.log.witness_entries import SumOpened


def prove_study(connection: Connection, site: Site, sender: str, message: ProofRequest, now: int) -> None:
    """Answer a researcher: its study's decisions here and its rounds `first_round` to `last_round`, proved.

    Raises:
        RefusedError: the sender has no such study here, or asks for too many rounds at once.
    """
    request = find_study(connection, sender, message.study)
    if request is None:
        raise RefusedError("This site knows no such study of yours.")
    asked = range(message.first_round, message.last_round + 1)
    if len(asked) > MOST_PROVED_ROUNDS:
        raise RefusedError(f"At most {MOST_PROVED_ROUNDS} rounds are proved at a time; ask for fewer.")

    def concerns(entry: LogEntry) -> bool:
        return _decides(entry, request) or (
            isinstance(entry, RoundComputed | UpdateReleased)
            and entry.request == request.digest
            and entry.round in asked
        )

    reply = ProofReply(
        study=message.study,
        first_round=message.first_round,
        last_round=message.last_round,
        receipt=_receipt(connection, site, request, concerns),
    )
    enqueue(connection, sender, reply, now)


def prove_round(connection: Connection, site: Site, request: Request, number: int) -> Receipt:
    """The site's own receipt: that its one answer to round `number` went into one opened sum.

    Raises:
        RefusedError: the log holds no such sum.
    """

    def concerns(entry: LogEntry) -> bool:
        match entry:
            case RequestReceived():
                return entry.request == request.digest
            case RoundComputed() | UpdateReleased():
                return (entry.request, entry.round) == (request.digest, number)
            case SumOpened():
                return (entry.signed.opened.request, entry.signed.opened.round) == (request.digest, number)
            case _:
                return _decides(entry, request)

    receipt = _receipt(connection, site, request, concerns)
    if not any('"kind":"sum-opened"' in it.entry for it in receipt.entries):
        raise RefusedError(
            f"The researcher has not told that it opened the sum of round {number} of request {request.number}."
        )
    return receipt


def _decides(entry: LogEntry, request: Request) -> bool:
    """Whether the request's approval rests on it; one by the house rules rests on them, and on people's precedent."""
    ground = request.ground
    match entry:
        case DecisionTaken():  # those that count, once they do: that some wait for more is nobody's to know
            taken = request.decision if ground is None else ground.precedent
            return taken is not None and entry.signed in taken.signed
        case ApprovedByRules():
            return entry.approval.request == request.digest
        case RulesAdopted():
            return ground is not None and entry.signed == ground.adoption
        case _:
            return False


def _receipt(connection: Connection, site: Site, request: Request, concerns: Callable[[LogEntry], bool]) -> Receipt:
    """Prove the entries under the smallest cosigned checkpoint that covers all of them, or the log's own as it is."""
    hashes, words = leaf_hashes(connection), _words(request)
    naming = (
        (position, data) for position, data in enumerate(entry_bytes(connection)) if any(word in data for word in words)
    )
    wanted = [(position, data) for position, data in naming if concerns(parse_entry(data))]
    covered = max((position + 1 for position, _ in wanted), default=0)
    size, note = next(
        ((size, note) for size, note in cosigned_notes(connection).items() if size >= covered), (len(hashes), None)
    )
    if note is None:
        note = sign_checkpoint(site.log_key, Checkpoint(log_origin(site.identity.party), tree_head(hashes)))
    return make_receipt(site_facts(site), note, hashes[:size], wanted)


def _words(request: Request) -> tuple[bytes, ...]:
    """What stands in the text of every entry that may be wanted: only these are parsed."""
    if request.ground is None:
        return (request.digest.encode(),)
    return (request.digest.encode(), request.ground.approval.precedent.encode(), b'"rules-adopted"')
