"""The section `[training]` of the house rules: what the training of a study may use of the machine."""

from typing import Annotated

from pydantic import Field

from policies.statements.schema import StrictModel


class TrainingRules(StrictModel):
    """What each study's trainer may use; it has no bearing on what it computes, but for rounding."""

    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """On how many threads its matrix products run; trainers of several studies each have as many."""
