"""One round as its coordinator sees it: the same model to every site, their masked updates back, one sum opened."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.protocol.identity import IdentityCard
from datasites.protocol.messages import MaskedUpdateMessage, Message, RoundRefused, RoundStart
from datasites.secure_averaging.advertisement import Advertisement, roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.coordinator import RunningSum
from datasites.secure_averaging.layout import decode, vector_length
from policies.errors import RefusedError, UnavailableError
from policies.programs.digests import MODEL_DOMAIN
from policies.statements.digests import RunningDigest
from policies.sums import SUM_DOMAIN, OpenedSum, SignedSum, Summand, sign_sum
from policies.terms import Terms
from researcher.correspondence import Correspondence, Received
from researcher.measurements import measured_curves, measured_metrics
from researcher.round_record import RoundRecord
from researcher.strategies.fedavg import federated_average


@dataclass(frozen=True)
class RoundOpener:
    """Opens the rounds of one run over one roster."""

    correspondence: Correspondence
    terms: Terms
    cohort: Sequence[IdentityCard]
    run: str
    roster: Sequence[Advertisement]

    def open(self, number: int, model: NDArray[np.float32]) -> tuple[NDArray[np.float32], RoundRecord, SignedSum]:
        """Run round `number` from `model`; gives the next global model, what the round showed, and what was summed.

        Raises:
            RefusedError: a site refused the round; with its reason.
            UnavailableError: a site did not answer before the deadline; it is named, and the round can be asked again.
            NotAuthenticError: an answer is not what its site signed for this very round.
        """
        began = time.monotonic()
        seconds = self.terms.deadlines.round_seconds
        content = model.astype("<f4", copy=False).view(np.uint8).data.toreadonly()
        uploaded = self.correspondence.upload(content, seconds)
        start = RoundStart(study=self.terms.study, run=self.run, round=number, model=uploaded)
        self.correspondence.send([card.party for card in self.cohort], start, seconds)
        answers = self._answers(number)
        waited = time.monotonic()
        context = round_context(
            setup_context(self.terms.digest(), self.run, roster_digest(self.roster)),
            number,
            _digest(MODEL_DOMAIN, content),
        )
        pinned = {card.party: bytes.fromhex(card.signing_key) for card in self.cohort}
        running = RunningSum(self.terms, number, context, pinned)
        for party, answer in answers.items():
            self._add(running, party, answer, number)
        opened = decode(self.terms, number, running.total())
        signed = self._sign(number, context, answers, running.total())
        following = model.copy()
        if opened.update is not None:
            federated_average(following, opened.update)
        record = RoundRecord(
            round=number,
            metrics=None if opened.metrics is None else measured_metrics(self.terms, opened.metrics),
            curves=None if opened.metrics is None else measured_curves(self.terms, opened.metrics),
            site_seconds=waited - began,
            sum_seconds=time.monotonic() - waited,
        )
        return following, record, signed

    def _sign(
        self, number: int, context: bytes, answers: Mapping[str, MaskedUpdateMessage], total: NDArray[np.uint32]
    ) -> SignedSum:
        summands = (
            Summand(site=party, vector_digest=answer.vector_digest, signature=answer.signature)
            for party, answer in sorted(answers.items())
        )
        opened = OpenedSum(
            version="cloister-sum/1",
            request=self.terms.digest(),
            round=number,
            round_context=context.hex(),
            summands=tuple(summands),
            total=_digest(SUM_DOMAIN, total.view(np.uint8).data),
        )
        return sign_sum(self.correspondence.identity.signing, opened)

    def _answers(self, number: int) -> dict[str, MaskedUpdateMessage]:
        taken = self.correspondence.collect(
            lambda _card, message: self._concerns(message, number),
            lambda taken: len(_by_site(taken)) == len(self.cohort) or any(_refusals(taken)),
            self.terms.deadlines.round_seconds,
        )
        for card, refusal in _refusals(taken):
            raise RefusedError(f"{card.name} refused round {number}: {refusal.reason}")
        answers = _by_site(taken)
        missing = [card.name for card in self.cohort if card.party not in answers]
        if missing:
            raise UnavailableError(
                f"{', '.join(missing)} did not answer round {number} within {self.terms.deadlines.round_seconds} s; "
                "the round's sum opens only with every site. Run the study again when they are back."
            )
        return answers

    def _concerns(self, message: Message, number: int) -> bool:
        return isinstance(message, MaskedUpdateMessage | RoundRefused) and (
            message.study,
            message.run,
            message.round,
        ) == (
            self.terms.study,
            self.run,
            number,
        )

    def _add(self, running: RunningSum, party: str, answer: MaskedUpdateMessage, number: int) -> None:
        size = 4 * vector_length(self.terms, number)
        pieces = self.correspondence.open(answer.update, size, self.terms.deadlines.round_seconds)
        running.add(
            party,
            bytes.fromhex(answer.round_context),
            answer.vector_digest,
            bytes.fromhex(answer.signature),
            pieces,
        )


def _digest(domain: str, content: memoryview) -> str:
    running = RunningDigest(domain, len(content))
    running.update(content)
    return running.hexdigest()


def _by_site(taken: list[Received]) -> dict[str, MaskedUpdateMessage]:
    return {card.party: message for card, message in taken if isinstance(message, MaskedUpdateMessage)}


def _refusals(taken: list[Received]) -> list[tuple[IdentityCard, RoundRefused]]:
    return [(card, message) for card, message in taken if isinstance(message, RoundRefused)]
