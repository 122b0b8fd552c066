"""The section `[training]` of the house rules: how the site's trainers compute what studies ask for."""

from typing import Annotated, Literal

from pydantic import Field

from policies.statements.schema import StrictModel

Gradients = Literal["automatic", "full"]
"""How gradients are bounded for each person: by whichever proven way is faster, or always as whole gradients."""


class TrainingRules(StrictModel):
    """What the owner decides about training that no request can; but for rounding, results do not depend on it."""

    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """On how many threads matrix products run; trainers of several studies each have as many."""
    gradients: Gradients = "automatic"
