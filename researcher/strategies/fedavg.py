"""Federated averaging (McMahan et al. 2017, algorithm 1): the global model moves by the sites' weighted mean update."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError


def federated_average(model: NDArray[np.float32], mean_update: Iterable[NDArray[np.float64]]) -> None:
    """Add `mean_update`, one float64 a parameter in blocks, to `model` (float32 [parameters]) in place.

    Each sum is computed in float64 and rounded once.

    Raises:
        InvalidInputError: the update has more or fewer parameters than the model, which is then of no use.
    """
    place = 0
    for block in mean_update:
        part = model[place : place + block.size]
        if part.size != block.size:
            raise InvalidInputError(f"The mean update has more parameters than the model's {model.size}.")
        np.add(part, block, out=part)
        place += block.size
    if place != model.size:
        raise InvalidInputError(f"The mean update has {place} parameters; the model has {model.size}.")
