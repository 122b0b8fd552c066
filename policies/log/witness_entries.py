"""Log entries on what others showed this site: opened sums, logs with two histories, letters whose signature fails."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from policies.log.entry import Entry
from policies.log.recovery import SignedRecovery
from policies.statements.schema import Digest, PartyId, PublicKey, Text
from policies.sums import SignedSum

SignedNote = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class SumOpened(Entry):
    """The researcher's signed word: the sum of a round that this site answered was opened, its vector in it once."""

    kind: Literal["sum-opened"] = "sum-opened"
    signed: SignedSum


class SumDisputed(Entry):
    """The researcher signed something else on an answered round than what this site knows or was told before."""

    kind: Literal["sum-disputed"] = "sum-disputed"
    signed: SignedSum
    reason: Text


class TwoHistories(Entry):
    """The log of `site` has two histories: its log key signed both checkpoints, of one size with two roots."""

    kind: Literal["two-histories"] = "two-histories"
    site: PartyId
    log_key: PublicKey
    first: SignedNote
    second: SignedNote


class HistoriesSettled(Entry):
    """The owner lets studies with `site` run again, whose log was found to have two histories; for this reason."""

    kind: Literal["histories-settled"] = "histories-settled"
    site: PartyId
    reason: Text


class RecoveryTaken(Entry):
    """The owner of `site` signed that checkpoints of its log were lost, and this site gave up what it kept of them."""

    kind: Literal["recovery-taken"] = "recovery-taken"
    site: PartyId
    owner_key: PublicKey
    signed: SignedRecovery


class SignatureFailed(Entry):
    """A letter came in the name of a pinned party that this party did not sign; `letter` is the digest of its bytes.

    One is logged for each claimed sender and day, at most; `unlogged` is how many more came since the one before.
    """

    kind: Literal["signature-failed"] = "signature-failed"
    claimed: PartyId
    letter: Digest
    unlogged: Annotated[int, Field(ge=0, le=2**53 - 1)]


WitnessEntry = SumOpened | SumDisputed | TwoHistories | HistoriesSettled | RecoveryTaken | SignatureFailed
