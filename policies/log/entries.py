"""Log entries: one typed record for each thing that a datasite must answer for; none holds a private value."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from policies.decision import PopulationId, SignedDecision
from policies.errors import InvalidInputError
from policies.jobs.endings import Layers
from policies.log.budget_entries import Attempt, BudgetEntry
from policies.log.entry import Entry
from policies.log.job_entries import JobEntry
from policies.log.people_entries import PeopleEntry
from policies.log.question_entries import QuestionEntry
from policies.log.review_entries import RequestReviewed
from policies.log.revocation_entries import ApprovalRevoked
from policies.log.rules_entries import ApprovedByRules, RulesAdopted
from policies.log.set_back_entries import BudgetWrittenOff, LogRecovered, SetBackNoticed
from policies.log.stop_entries import SiteResumed, SiteStopped
from policies.log.superseded_entries import RequestSuperseded
from policies.log.witness_entries import WitnessEntry
from policies.statements.canonical import parse_canonical
from policies.statements.schema import (
    Digest,
    Name,
    PartyId,
    PartyName,
    PublicKey,
    Text,
    describe_validation_error,
)
from policies.terms import MAXIMUM_TERMS_BYTES, Terms

MAXIMUM_ENTRY_BYTES = MAXIMUM_TERMS_BYTES + 64 * 1024

RoundNumber = Annotated[int, Field(ge=1, le=1_000_000)]
MessageNumber = Annotated[int, Field(ge=0, le=2**53 - 1)]


class SiteOpened(Entry):
    """The first entry of every log: whose it is, and which keys sign its messages, its log and its decisions."""

    kind: Literal["site-opened"] = "site-opened"
    site: PartyId
    name: PartyName
    signing_key: PublicKey
    log_key: PublicKey
    owner_key: PublicKey


class PeerPinned(Entry):
    """The owner accepted another party's identity card; `card` is the card's digest."""

    kind: Literal["peer-pinned"] = "peer-pinned"
    party: PartyId
    name: PartyName
    role: Literal["datasite", "researcher"]
    card: Digest


class DataSetRegistered(Entry):
    """A frozen snapshot of a data set was registered under the population whose budget it draws on."""

    kind: Literal["data-set-registered"] = "data-set-registered"
    data_set: Name
    population: PopulationId
    manifest: Digest
    snapshot_commitment: Digest


class RequestReceived(Entry):
    """A request arrived from the pinned researcher whom its terms name; `request`, their digest, stands for it."""

    kind: Literal["request-received"] = "request-received"
    request: Digest
    terms: Terms


class DecisionTaken(Entry):
    """One person decided; the signed decision itself, which holds once as many did as it asks for."""

    kind: Literal["decision-taken"] = "decision-taken"
    signed: SignedDecision


class RoundComputed(Entry):
    """One attempt at a round gave one durable answer, named by a keyed commitment, behind `layers` of the sandbox.

    `seconds` from its charge to its answer, rounded up: no finer than whoever waits for the answer can tell anyway.
    """

    kind: Literal["round-computed"] = "round-computed"
    request: Digest
    round: RoundNumber
    attempt: Attempt
    round_context: Digest
    model: Digest
    output_commitment: Digest
    seconds: Annotated[int, Field(ge=0, le=2**31)]
    layers: Layers


class UpdateReleased(Entry):
    """The answer with this commitment was handed to the mail for `recipient`."""

    kind: Literal["update-released"] = "update-released"
    request: Digest
    round: RoundNumber
    recipient: PartyId
    output_commitment: Digest


class RequestClosed(Entry):
    """Nothing further is computed for the request."""

    kind: Literal["request-closed"] = "request-closed"
    request: Digest
    reason: Text


class MessageGap(Entry):
    """A sender's numbers skipped: the messages from `expected` up to, not including, `got` never arrived."""

    kind: Literal["message-gap"] = "message-gap"
    sender: PartyId
    expected: MessageNumber
    got: MessageNumber


class MessageRefused(Entry):
    """A message was refused; `message` is the digest of the sealed bytes."""

    kind: Literal["message-refused"] = "message-refused"
    sender: PartyId
    message: Digest
    reason: Text


LogEntry = Annotated[
    SiteOpened
    | PeerPinned
    | BudgetEntry
    | DataSetRegistered
    | RequestReceived
    | DecisionTaken
    | RoundComputed
    | UpdateReleased
    | RequestClosed
    | MessageGap
    | MessageRefused
    | SetBackNoticed
    | LogRecovered
    | BudgetWrittenOff
    | RequestReviewed
    | PeopleEntry
    | RulesAdopted
    | ApprovedByRules
    | WitnessEntry
    | ApprovalRevoked
    | SiteStopped
    | SiteResumed
    | RequestSuperseded
    | QuestionEntry
    | JobEntry,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[LogEntry] = TypeAdapter(LogEntry)


def parse_entry(data: bytes) -> LogEntry:
    """Parse one untrusted entry from its canonical bytes.

    Raises:
        InvalidInputError: not canonical JSON, too long, of no known kind, or a field is wrong.
    """
    parse_canonical(data, maximum_bytes=MAXIMUM_ENTRY_BYTES, what="The log entry")
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise InvalidInputError(f"The log entry is not valid: {describe_validation_error(error)}.") from error
