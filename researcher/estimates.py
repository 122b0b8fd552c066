"""A figure that was computed from noised sums, with what the noise does to it."""

from typing import Annotated, Self

from pydantic import Field

from policies.statements.schema import StrictModel


class Estimate(StrictModel):
    """A noised figure, and the standard deviation that the sites' noise gives it.

    It is 0 where no noise was added, and None where it was not kept, as in old state files.

    How far it would lie from the figure of all such people, had there been no noise, depends on how many were measured
    and comes on top.
    """

    value: float
    noise: Annotated[float, Field(ge=0)] | None

    def __str__(self) -> str:
        if self.noise is None:
            return f"{self.value:.3f} ± ?"
        return f"{self.value:.3f} ± {self.noise:.3f}" if self.noise else f"{self.value:.3f}"

    __repr__ = __str__

    @classmethod
    def of_share(cls, part: float, rest: float, deviation: float) -> Self:
        """The share part / (part + rest) of two sums with independent noise of that standard deviation on each.

        The noise's is that of its linear part (the delta method): fair as long as it is small beside the whole.
        """
        whole = max(part + rest, 1.0)
        value = min(max(part / whole, 0.0), 1.0)
        return cls(value=value, noise=deviation * (part**2 + rest**2) ** 0.5 / whole**2)
