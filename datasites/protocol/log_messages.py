"""Messages on logs: between a site, its witnesses, and a researcher who wants to prove what became of a study."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from datasites.protocol.typed_message import RoundNumber, StudyId, TypedMessage
from policies.log.receipt import Receipt
from policies.log.recovery import SignedRecovery
from policies.statements.schema import Digest
from policies.sums import SignedSum

MOST_NOTES = 100
MOST_PROVED_ROUNDS = 100

Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
CheckpointNote = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
SealedBalance = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=512 * 1024)]
LogSize = Annotated[int, Field(ge=0, le=2**53 - 1)]
Proof = Annotated[tuple[Digest, ...], Field(max_length=64)]


class WitnessRequest(TypedMessage):
    """Site → witness: keep this checkpoint of my log; `proof` shows that it continues that of `proof_from` entries.

    `rival_proof` shows the same of the one of `rival_from` entries, which the witness was shown by somebody else.
    `balance` is sealed by the asking site for itself alone; the witness gives it back when it is needed. `seen` are the
    newest checkpoints that the asking site keeps of other sites with which both share a study.
    """

    type: Literal["witness-request"] = "witness-request"
    nonce: Nonce
    checkpoint: CheckpointNote
    proof_from: LogSize
    proof: Proof
    rival_from: LogSize = 0
    rival_proof: Proof = ()
    balance: SealedBalance
    recovery: SignedRecovery | None
    seen: Annotated[tuple[CheckpointNote, ...], Field(max_length=MOST_NOTES)] = ()


class WitnessReply(TypedMessage):
    """Witness → site: the newest checkpoint of your log that is kept here, cosigned, and the balance that came with it.

    It is the one that was asked for, or another, which the one asked for was not shown to continue. `rival` is a
    checkpoint of your log that somebody else was shown: nothing is kept before it is proved to be continued, too.
    """

    type: Literal["witness-reply"] = "witness-reply"
    nonce: Nonce
    checkpoint: CheckpointNote
    balance: SealedBalance
    rival: CheckpointNote | None = None


class SumOpenedMessage(TypedMessage):
    """Researcher → site: this round's sum was opened, from these vectors."""

    type: Literal["sum-opened"] = "sum-opened"
    study: StudyId
    signed: SignedSum


class ProofRequest(TypedMessage):
    """Researcher → site: prove what your log says of this study's decision and of these rounds."""

    type: Literal["proof-request"] = "proof-request"
    study: StudyId
    first_round: RoundNumber
    last_round: RoundNumber


class ProofReply(TypedMessage):
    """Site → researcher: the entries asked for, under one checkpoint."""

    type: Literal["proof-reply"] = "proof-reply"
    study: StudyId
    first_round: RoundNumber
    last_round: RoundNumber
    receipt: Receipt


LogMessageToSite = WitnessRequest | WitnessReply | SumOpenedMessage | ProofRequest
LogMessageToResearcher = WitnessRequest | ProofReply
