"""Receipts on a model: every site proves, from its log, its owner's approval and its answers to the rounds."""

from collections.abc import Sequence

from datasites.protocol.identity import IdentityCard
from datasites.protocol.log_messages import MOST_PROVED_ROUNDS, ProofReply, ProofRequest
from datasites.protocol.messages import Message
from policies.errors import InvalidInputError, UnavailableError
from policies.log.check_receipts import ResultReceipt
from policies.log.receipt import Receipt
from policies.terms import Terms
from researcher.correspondence import Correspondence, Received


def collect_receipt(correspondence: Correspondence, terms: Terms, cohort: Sequence[IdentityCard]) -> ResultReceipt:
    """Ask every site to prove its part, some rounds at a time, and put all together with what was opened.

    Raises:
        InvalidInputError: no round has been opened yet.
        UnavailableError: a site did not answer before the terms' setup deadline; it is named.
    """
    sums = correspondence.state.sums(terms.study)
    if not sums:
        raise InvalidInputError("No round of this study has been opened yet; there is no model to prove anything of.")
    parts = list[Receipt]()
    for first in range(1, len(sums) + 1, MOST_PROVED_ROUNDS):
        parts += _ask(correspondence, terms, cohort, first, min(first + MOST_PROVED_ROUNDS - 1, len(sums)))
    return ResultReceipt(version="cloister-result-receipt/1", terms=terms, sums=tuple(sums), parts=tuple(parts))


def _ask(
    correspondence: Correspondence, terms: Terms, cohort: Sequence[IdentityCard], first: int, last: int
) -> list[Receipt]:
    seconds = terms.deadlines.setup_seconds
    question = ProofRequest(study=terms.study, first_round=first, last_round=last)
    correspondence.send([card.party for card in cohort], question, seconds)

    def answers(_card: IdentityCard, message: Message) -> bool:
        wanted = (terms.study, first, last)
        return isinstance(message, ProofReply) and (message.study, message.first_round, message.last_round) == wanted

    def complete(taken: Sequence[Received]) -> bool:
        return len({card.party for card, _ in taken}) == len(cohort)

    taken = correspondence.collect(answers, complete, seconds)
    found = {card.party: message.receipt for card, message in taken if isinstance(message, ProofReply)}
    missing = [card.name for card in cohort if card.party not in found]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} sent no proof within {seconds} s; ask again when they are back.")
    return list(found.values())
