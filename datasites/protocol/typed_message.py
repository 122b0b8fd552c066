"""What messages have in common: a version, errors that never quote what was got, and names of studies and rounds."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from policies.statements.schema import StrictModel

StudyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Names a study, as its terms do: 32 hexadecimal digits."""

RoundNumber = Annotated[int, Field(ge=1, le=10_001)]


class TypedMessage(StrictModel):
    """A message of one type. It may hold keys of blobs: no text of a validation error may quote what was got."""

    model_config = ConfigDict(hide_input_in_errors=True)

    version: Literal[1] = 1
