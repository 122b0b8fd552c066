"""How a site's noised gradients become steps: the optimiser, and how its learning rate goes over a study's steps."""

from math import cos, pi
from typing import Annotated, Literal

from pydantic import Field

from policies.statements.schema import StrictModel

Decay = Annotated[float, Field(ge=0, lt=1)]
"""How much of a running mean is kept in a step, in [0, 1)."""


class Sgd(StrictModel):
    """Stochastic gradient descent with heavy-ball momentum (Polyak 1964); 0 is plain descent."""

    type: Literal["sgd"] = "sgd"
    momentum: Decay


class Adam(StrictModel):
    """Adam (Kingma & Ba 2015): `decays` are β₁ and β₂, `epsilon` stands beside the root of the second moment."""

    type: Literal["adam"] = "adam"
    decays: tuple[Decay, Decay]
    epsilon: Annotated[float, Field(ge=1e-10, le=1)]


class AdamW(StrictModel):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): each step takes learning rate × `weight_decay` of
    each parameter away."""

    type: Literal["adamw"] = "adamw"
    decays: tuple[Decay, Decay]
    epsilon: Annotated[float, Field(ge=1e-10, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]


Optimizer = Annotated[Sgd | Adam | AdamW, Field(discriminator="type")]
"""Any of them works on noised gradients alone: which one it is does not bear on privacy."""


class Schedule(StrictModel):
    """The learning rate over all steps of a study: it rises linearly for `warm_up_steps`, then stays or falls to 0."""

    type: Literal["constant", "linear", "cosine"]
    warm_up_steps: Annotated[int, Field(ge=0, le=100_000_000)]

    def factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied by in step `step` (from 0) of `steps`: in (0, 1], so each step counts.

        Step w, the first after w steps of warm-up, has 1; the step after the last one, if there were one, had 0
        (cosine: Loshchilov & Hutter 2017, without restarts).
        """
        if step < self.warm_up_steps:
            return (step + 1) / (self.warm_up_steps + 1)
        done = (step - self.warm_up_steps) / (steps - self.warm_up_steps)
        match self.type:
            case "constant":
                return 1.0
            case "linear":
                return 1.0 - done
            case "cosine":
                return (1.0 + cos(pi * done)) / 2
