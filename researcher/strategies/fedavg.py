"""Federated averaging (McMahan et al. 2017, algorithm 1): the global model moves by the sites' weighted mean update."""

from collections.abc import Iterable, Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError
from policies.terms import MAXIMUM_WEIGHT


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


def weights_by_size(units: Sequence[int]) -> tuple[int, ...]:
    """Weights of sites in the proportions of their public numbers of training units, as near as small numbers come.

    Of all whole numbers up to `MAXIMUM_WEIGHT`, at least 1 each, those whose worst relative error is least.
    """
    largest = max(units)

    def scaled(most: int) -> tuple[int, ...]:
        return tuple(max(1, round(most * it / largest)) for it in units)

    def error(weights: tuple[int, ...]) -> float:
        ratios = [weight / it for weight, it in zip(weights, units, strict=True)]
        return max(ratios) / min(ratios)

    best = min((scaled(most) for most in range(1, MAXIMUM_WEIGHT + 1)), key=error)
    return tuple(weight // gcd(*best) for weight in best)
