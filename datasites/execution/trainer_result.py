"""What comes of a round in a trainer: a result of which nothing is believed yet, or a failure that says nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.errors import CloisterError


class TrainerFailedError(CloisterError):
    """The trainer gave no valid answer. Why is not known, on purpose: the reason could carry data.

    `was_killed`: it did not end by itself, nor was it ended here, but from outside: by a SIGKILL, as for memory, or
    because another machine was lost. `was_late`: it had not ended when its time was over.
    """

    def __init__(self, sentence: str, *, was_killed: bool = False, was_late: bool = False) -> None:
        super().__init__(sentence)
        self.was_killed, self.was_late = was_killed, was_late


@dataclass(frozen=True, eq=False, repr=False)
class RoundResult:
    """What a round gave, as long as it is not checked by `policies.disclosure`: its values may be no numbers.

    `metrics` is float64 [evaluation.counts] if it evaluated. `update` is float64 [parameter_count] in blocks, read
    from the trainer as they are asked for, or no block if it did not train. A block is valid until the next is asked
    for. `layers` held the trainer meanwhile.
    """

    metrics: NDArray[np.float64] | None
    update: Iterator[NDArray[np.float64]]
    layers: tuple[str, ...]
