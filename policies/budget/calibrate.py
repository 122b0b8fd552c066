"""Finds the least noise that keeps a promised (ε, δ), so that what is promised is also what a filter charges."""

import math

from policies.budget.filter import allowance_units, filter_order
from policies.budget.renyi import GaussianMechanism, cost_units, epsilon
from policies.errors import InvalidInputError

_GRID = 10_000
_LEAST = _GRID // 10
_MOST = 10**6 * _GRID


def calibrate_noise_multiplier(target_epsilon: float, delta: float, sampling_rate: float, steps: int) -> float:
    """The smallest multiple of 0.0001 from 0.1 to 1e6 at which `steps` steps keep (`target_epsilon`, `delta`).

    They keep it in both ways in which it is measured: by their own best order, as `epsilon` gives it, and by the filter
    of a population whose lifetime budget is (`target_epsilon`, `delta`), so that such a population can admit them.

    Raises:
        InvalidInputError: no noise multiplier in that range reaches the target, or an argument is out of range.
        RefusedError: the target is so small that no filter order serves it.
    """
    order = filter_order(target_epsilon, delta)
    allowance = allowance_units(target_epsilon, delta, order)

    def keeps(noise: int) -> bool:
        mechanism = GaussianMechanism(noise / _GRID, sampling_rate, steps)
        return cost_units(mechanism, order) <= allowance and epsilon([mechanism], delta)[0] <= target_epsilon

    if keeps(_LEAST):
        return _LEAST / _GRID
    if not keeps(_MOST):
        raise InvalidInputError(
            f"No noise multiplier up to {_MOST // _GRID} keeps ε={target_epsilon:g} at δ={delta:g} for {steps} steps; "
            "take fewer steps or a larger ε."
        )
    too_little, enough = _LEAST, _MOST
    while enough - too_little > 1:
        middle = min(max(math.isqrt(too_little * enough), too_little + 1), enough - 1)
        if keeps(middle):
            enough = middle
        else:
            too_little = middle
    return enough / _GRID
