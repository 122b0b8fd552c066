"""Replays what a log says that others showed its site: sums that hold it once, and evidence that proves itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

from policies.log.accounts import require
from policies.log.checkpoint import log_origin, open_checkpoint
from policies.log.entries import RoundComputed
from policies.log.merkle import TreeHead
from policies.log.recovery import verify_recovery
from policies.log.witness import is_fork
from policies.log.witness_entries import (
    HistoriesSettled,
    RecoveryTaken,
    SignatureFailed,
    SumDisputed,
    SumOpened,
    TwoHistories,
    WitnessEntry,
)
from policies.sums import require_summand, verify_sum
from policies.terms import Terms


@dataclass(frozen=True)
class Answered:
    """A request's terms, and its computed rounds by number."""

    terms: Terms
    answers: dict[int, RoundComputed]


@dataclass
class WitnessReplay:
    """Opened sums and evidence. What breaks a rule raises RefusedError or NotAuthenticError, and is counted."""

    site: str
    signing_key: bytes
    request: Callable[[str], Answered]
    """What was received and answered under the digest of some terms; raises RefusedError for what never came."""
    disputed: int = 0
    accused: set[str] = field(default_factory=set)
    opened: set[tuple[str, int]] = field(default_factory=set)

    def take(self, entry: WitnessEntry) -> None:
        """Replay an entry."""
        match entry:
            case SumOpened():
                self._open_sum(entry)
            case SumDisputed():
                verify_sum(entry.signed, self.request(entry.signed.opened.request).terms)
                self.disputed += 1
            case TwoHistories():
                self._accuse(entry)
            case HistoriesSettled():
                require(entry.site in self.accused, "histories are settled of which no evidence came")
            case RecoveryTaken():
                verify_recovery(entry.signed, bytes.fromhex(entry.owner_key), entry.site)
            case SignatureFailed():
                pass

    def _open_sum(self, entry: SumOpened) -> None:
        request = self.request(entry.signed.opened.request)
        opened = verify_sum(entry.signed, request.terms)
        again = (opened.request, opened.round) in self.opened
        self.opened.add((opened.request, opened.round))
        require(not again, "the sum of one round is opened twice")
        require(opened.round in request.answers, "a sum is opened of a round that this site did not answer")
        context = request.answers[opened.round].round_context
        require_summand(opened, request.terms, self.site, self.signing_key, context)

    def _accuse(self, entry: TwoHistories) -> None:
        self.accused.add(entry.site)
        first, second = (_head(entry, note) for note in (entry.first, entry.second))
        require(is_fork(first, second), "the two checkpoints do not show two histories")


def _head(entry: TwoHistories, note: str) -> TreeHead:
    return open_checkpoint(note.encode(), log_origin(entry.site), bytes.fromhex(entry.log_key)).head
