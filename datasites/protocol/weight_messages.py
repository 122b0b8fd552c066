"""How a study's parameter file travels in parts: those that a site keeps for its researcher need not come again."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from datasites.protocol.typed_message import StudyId, TypedMessage
from policies.errors import InvalidInputError
from policies.statements.schema import Digest, StrictModel

MAXIMUM_PARAMETER_BYTES = 256 << 20
"""Of a study's whole parameter file, however much of it is sent."""

LEAST_KEPT_BYTES = 256 << 10
"""Parts as large as this are kept; a parameter file has at most 1,024 of them, and as many and one between them."""

PART_DOMAIN = "parameter-part"
"""The domain of a part's digest, which is over its bytes alone: the same weights have it in every study."""

_MOST_PARTS = 2 * MAXIMUM_PARAMETER_BYTES // LEAST_KEPT_BYTES + 1


class ParameterPart(StrictModel):
    """A range of the parameter file, in its order: its digest, its bytes, and whether it is sent along."""

    digest: Digest
    size: Annotated[int, Field(ge=1, le=MAXIMUM_PARAMETER_BYTES)]
    sent: bool


ParameterParts = Annotated[tuple[ParameterPart, ...], Field(min_length=1, max_length=_MOST_PARTS)]


class WeightsWanted(TypedMessage):
    """Site → researcher: it keeps none of these parts of a study's parameter file, and takes the study with them."""

    type: Literal["weights-wanted"] = "weights-wanted"
    study: StudyId
    parts: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=_MOST_PARTS)]


def check_sizes(parts: Sequence[ParameterPart], sent_bytes: int) -> int:
    """Check that the sent parts are `sent_bytes` long, and the whole file is not too long; gives its length.

    Raises:
        InvalidInputError: saying which of the two is not so.
    """
    whole = sum(part.size for part in parts)
    if whole > MAXIMUM_PARAMETER_BYTES:
        raise InvalidInputError(f"The parameter file has {whole} bytes; at most {MAXIMUM_PARAMETER_BYTES} are taken.")
    announced = sum(part.size for part in parts if part.sent)
    if announced != sent_bytes:
        raise InvalidInputError(f"Parts of {announced} bytes were announced, and {sent_bytes} bytes were sent.")
    return whole
