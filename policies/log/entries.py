"""Log entries: one typed record for each thing that a datasite must answer for; none holds a private value."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from policies.budget.costs import Partition
from policies.decision import PopulationId, SignedDecision, Units
from policies.errors import InvalidInputError
from policies.jobs.endings import Layers
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
    StrictModel,
    Text,
    describe_validation_error,
)
from policies.terms import MAXIMUM_TERMS_BYTES, Terms

MAXIMUM_ENTRY_BYTES = MAXIMUM_TERMS_BYTES + 64 * 1024

Step = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}( [1-9][0-9]{0,8})?$")]
"""Which part of a request a charge is for: `round 3`."""

RoundNumber = Annotated[int, Field(ge=1, le=1_000_000)]
Attempt = Annotated[int, Field(ge=1, le=1_000_000)]
MessageNumber = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Mechanism(StrictModel):
    """A Poisson-subsampled Gaussian mechanism, composed `steps` times; `sampling_rate` 1 is the plain one."""

    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)]
    sampling_rate: Annotated[float, Field(gt=0, le=1)]
    steps: Annotated[int, Field(ge=1, le=100_000_000)]


class _Reservation(Entry):
    request: Digest
    population: PopulationId
    training_units: Units
    evaluation_units: Units


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


class PopulationOpened(Entry):
    """A lifetime budget was opened: (ε, δ), the Rényi order fixed for its lifetime, the allowance at that order."""

    kind: Literal["population-opened"] = "population-opened"
    population: PopulationId
    epsilon: Annotated[float, Field(gt=0, le=100)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    filter_order: Annotated[int, Field(ge=2, le=10_000)]
    allowance_units: Units


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


class ReservationOpened(_Reservation):
    """The request's worst-case cost was set aside from its population's allowance."""

    kind: Literal["reservation-opened"] = "reservation-opened"


class ChargeMade(Entry):
    """One mechanism was charged, before the data was touched."""

    kind: Literal["charge-made"] = "charge-made"
    population: PopulationId
    request: Digest
    partition: Partition
    step: Step
    attempt: Attempt
    mechanism: Mechanism
    units: Units


class ReservationClosed(_Reservation):
    """What the request had not spent was returned to its population."""

    kind: Literal["reservation-closed"] = "reservation-closed"


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


class ReservationLost(_Reservation):
    """What a request had reserved and not charged counts as spent: it may have been, in the history that was lost."""

    kind: Literal["reservation-lost"] = "reservation-lost"


LogEntry = Annotated[
    SiteOpened
    | PeerPinned
    | PopulationOpened
    | DataSetRegistered
    | RequestReceived
    | DecisionTaken
    | ReservationOpened
    | ChargeMade
    | ReservationClosed
    | RoundComputed
    | UpdateReleased
    | RequestClosed
    | MessageGap
    | MessageRefused
    | SetBackNoticed
    | LogRecovered
    | ReservationLost
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


def round_step(round_number: int) -> str:
    """The `step` under which everything that round `round_number` does is charged."""
    return f"round {round_number}"


def step_round(step: Step) -> int | None:
    """The round that `step` names; None if it is another part of a request."""
    word, _, number = step.partition(" ")
    return int(number) if word == "round" and number else None


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
