"""Messages: everything that researchers and datasites may say to each other, typed, bounded and versioned."""

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import Content
from datasites.protocol.job_messages import (
    FileSetOffer,
    FileSetReply,
    JobMessageToResearcher,
    JobMessageToSite,
    JobOutputs,
)
from datasites.protocol.log_messages import LogMessageToResearcher, LogMessageToSite
from datasites.protocol.question_messages import RequestAnswer, RequestQuestion
from datasites.protocol.status_names import StudyStatusName
from datasites.protocol.typed_message import RoundNumber, StudyId, TypedMessage
from datasites.protocol.weight_messages import ParameterParts, WeightsWanted
from datasites.secure_averaging.advertisement import Advertisement, Run
from policies.decision import SignedDecisions
from policies.errors import InvalidInputError
from policies.rules.approval import RulesGround
from policies.statements.canonical import parse_canonical
from policies.statements.schema import PLAIN_TEXT, Digest, Name, StrictModel, Text, describe_validation_error
from policies.terms import MAXIMUM_TERMS_BYTES

MAXIMUM_MESSAGE_BYTES = 1024 * 1024
MAXIMUM_MANIFEST_CHARACTERS = 256 * 1024
MAXIMUM_PROGRAM_CHARACTERS = 512 * 1024
MAXIMUM_SOURCE_CHARACTERS = 256 * 1024

Share = Annotated[float, Field(ge=0, le=1)]
Document = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_PROGRAM_CHARACTERS)]


class CatalogRequest(TypedMessage):
    """Researcher → site: which data sets are there?"""

    type: Literal["catalog-request"] = "catalog-request"


class StudySubmission(TypedMessage):
    """Researcher → site: a request. `terms`, `loss_program` and `metrics_program` are canonical JSON texts.

    `initial_parameters` are those of the `parameter_parts` that are sent, one after the other.
    """

    type: Literal["study-submission"] = "study-submission"
    study: StudyId
    terms: Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_TERMS_BYTES)]
    loss_program: Document
    metrics_program: Document
    source: Annotated[str, StringConstraints(max_length=MAXIMUM_SOURCE_CHARACTERS, pattern=PLAIN_TEXT)]
    parameter_parts: ParameterParts
    initial_parameters: Content
    tokeniser: Content | None


class SetupStart(TypedMessage):
    """Researcher → site: begin this run of an approved study; the site answers with its mask keys."""

    type: Literal["setup-start"] = "setup-start"
    study: StudyId
    run: Run
    terms_digest: Digest


class Roster(TypedMessage):
    """Researcher → site: the mask keys of the whole cohort, each signed by its site."""

    type: Literal["roster"] = "roster"
    study: StudyId
    run: Run
    advertisements: Annotated[tuple[Advertisement, ...], Field(min_length=2, max_length=100)]


class RoundStart(TypedMessage):
    """Researcher → site: the global model to start round `round` from."""

    type: Literal["round-start"] = "round-start"
    study: StudyId
    run: Run
    round: RoundNumber
    model: Content


class StudyClose(TypedMessage):
    """Researcher → site: no more rounds follow; what was reserved and not used may be returned."""

    type: Literal["study-close"] = "study-close"
    study: StudyId
    reason: Text


class Allowance(StrictModel):
    """How much of a population's budget this researcher may still ask for, computed from released history only."""

    remaining_training_share: Share
    remaining_evaluation_share: Share
    epsilon: Annotated[float, Field(gt=0, le=100)]
    delta: Annotated[float, Field(gt=0, lt=1)]


class DataSetOffer(StrictModel):
    """One data set of a catalog: its manifest (canonical JSON text), its mock rows (CSV) and the allowance.

    Where the owner does not show them, there is no allowance, and the mock rows are but their header.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    name: Name
    manifest: Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_MANIFEST_CHARACTERS)]
    mock: Content
    allowance: Allowance | None


class CatalogReply(TypedMessage):
    """Site → researcher: what may be asked for; `total` data sets come in as many messages as they need."""

    type: Literal["catalog-reply"] = "catalog-reply"
    total: Annotated[int, Field(ge=0, le=10_000)]
    data_sets: Annotated[tuple[DataSetOffer, ...], Field(max_length=100)]


class StudyStatus(TypedMessage):
    """Site → researcher: where a request stands, with the signed decision once there is one.

    Where the house rules approved, there is none, and `ground` says why they might.
    """

    type: Literal["study-status"] = "study-status"
    study: StudyId
    status: StudyStatusName
    detail: Text
    decision: SignedDecisions | None = None
    ground: RulesGround | None = None


class AdvertisementMessage(TypedMessage):
    """Site → researcher: its mask keys for one run."""

    type: Literal["advertisement"] = "advertisement"
    study: StudyId
    run: Run
    advertisement: Advertisement


class MaskedUpdateMessage(TypedMessage):
    """Site → researcher: its masked vector for one round, signed over the round's context and the vector's digest."""

    type: Literal["masked-update"] = "masked-update"
    study: StudyId
    run: Run
    round: RoundNumber
    round_context: Digest
    vector_digest: Digest
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
    update: Content


class RoundRefused(TypedMessage):
    """Site → researcher: this round will not be answered, and why, without a word on the data."""

    type: Literal["round-refused"] = "round-refused"
    study: StudyId
    run: Run
    round: RoundNumber
    reason: Text


MessageToSite = (
    CatalogRequest
    | StudySubmission
    | SetupStart
    | Roster
    | RoundStart
    | StudyClose
    | LogMessageToSite
    | RequestAnswer
    | JobMessageToSite
)
MessageToResearcher = (
    CatalogReply
    | StudyStatus
    | AdvertisementMessage
    | MaskedUpdateMessage
    | RoundRefused
    | WeightsWanted
    | LogMessageToResearcher
    | RequestQuestion
    | JobMessageToResearcher
)
Message = MessageToSite | MessageToResearcher


def blob_of(message: Message) -> BlobReference | None:
    """The blob that must lie at the relay before this message of a site is sent, if it refers to one."""
    match message:
        case MaskedUpdateMessage(update=BlobReference() as reference):
            return reference
        case CatalogReply(data_sets=(DataSetOffer(mock=BlobReference() as reference),)):
            return reference
        case JobOutputs(content=BlobReference() as reference):
            return reference
        case FileSetReply(offer=FileSetOffer(mock=BlobReference() as reference)):
            return reference
        case _:
            return None


_ADAPTER: TypeAdapter[Message] = TypeAdapter(
    Annotated[Message, Field(discriminator="type")], config=ConfigDict(hide_input_in_errors=True)
)
_TYPES = tuple(kind.model_fields["type"].default for kind in get_args(Message))


def parse_message(data: bytes) -> Message:
    """Read a message from untrusted bytes.

    Raises:
        InvalidInputError: it is too large, not canonical JSON, of an unknown type or not of that type's shape.
    """
    value = parse_canonical(data, maximum_bytes=MAXIMUM_MESSAGE_BYTES, what="The message")
    if not isinstance(value, dict) or value.get("type") not in _TYPES:
        raise InvalidInputError("The message has no type that this version knows; both sides need the same version.")
    try:
        message = _ADAPTER.validate_json(data, strict=True)
    except ValidationError as error:
        raise InvalidInputError(f"The message is not valid: {describe_validation_error(error)}.") from error
    if message.canonical() != data:
        raise InvalidInputError(
            "The message leaves out fields; every field must be written, as this version writes it."
        )
    return message
