"""Calibrated noise keeps the promise, a filter admits it, and less noise would not do."""

import pytest

from policies.budget.calibrate import calibrate_noise_multiplier
from policies.budget.filter import allowance_units, filter_order
from policies.budget.renyi import GaussianMechanism, cost_units, epsilon
from policies.errors import InvalidInputError, RefusedError


@pytest.mark.parametrize(
    ("target", "rate", "steps"), [(1.0, 0.1, 50), (3.0, 0.05, 200), (0.1, 0.01, 100), (20.0, 1.0, 10)]
)
def test_smallest_noise_that_a_population_of_this_budget_admits(target, rate, steps):
    noise = calibrate_noise_multiplier(target, 1e-6, rate, steps)
    order = filter_order(target, 1e-6)
    allowance = allowance_units(target, 1e-6, order)

    def kept(noise_multiplier: float) -> bool:
        mechanism = GaussianMechanism(noise_multiplier, rate, steps)
        return cost_units(mechanism, order) <= allowance and epsilon([mechanism], 1e-6)[0] <= target

    assert round(noise * 10_000) / 10_000 == noise
    assert kept(noise)
    assert not kept(round(noise * 10_000 - 1) / 10_000)
    assert epsilon([GaussianMechanism(noise, rate, steps)], 1e-6)[0] >= 0.9 * target


def test_a_promise_that_needs_no_noise_gets_the_least_there_is():
    assert calibrate_noise_multiplier(100.0, 1e-6, 1e-9, 1) == 0.1


def test_a_promise_that_cannot_be_kept_is_refused():
    with pytest.raises(RefusedError):
        calibrate_noise_multiplier(1e-4, 1e-9, 0.1, 10)
    with pytest.raises(InvalidInputError, match="fewer steps"):
        calibrate_noise_multiplier(0.01, 1e-6, 1.0, 10**8)
