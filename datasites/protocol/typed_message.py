"""What every message has in common: a version, and errors that never quote what was got."""

from typing import Literal

from pydantic import ConfigDict

from policies.statements.schema import StrictModel


class TypedMessage(StrictModel):
    """A message of one type. It may hold keys of blobs: no text of a validation error may quote what was got."""

    model_config = ConfigDict(hide_input_in_errors=True)

    version: Literal[1] = 1
