"""Federated averaging moves the model in place, by exactly as many parameters as it has; sites weigh by their size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import InvalidInputError
from policies.terms import MAXIMUM_WEIGHT
from researcher.strategies.fedavg import federated_average, weights_by_size


@pytest.mark.parametrize("cuts", [[], [1], [0, 3, 3, 6]])
def test_it_is_the_sum_rounded_once(cuts: list[int]) -> None:
    generator = np.random.default_rng(0)
    model, update = generator.normal(size=7).astype(np.float32), generator.normal(size=7) * 1e-4
    expected = (model.astype(np.float64) + update).astype(np.float32)
    federated_average(model, np.split(update, cuts))
    assert np.array_equal(model, expected)


@pytest.mark.parametrize("size", [0, 6, 8])
def test_an_update_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidInputError, match="parameters"):
        federated_average(np.zeros(7, np.float32), [np.zeros(size)])


@pytest.mark.parametrize(
    ("units", "weights"),
    [
        ((185, 185, 185), (1, 1, 1)),
        ((100, 200), (1, 2)),
        ((300, 200, 100), (3, 2, 1)),
        ((10**6, 50), (16, 1)),
        ((7,), (1,)),
    ],
)
def test_sites_weigh_by_their_size(units: tuple[int, ...], weights: tuple[int, ...]) -> None:
    assert weights_by_size(units) == weights


@given(st.lists(st.integers(min_value=100, max_value=400), min_size=2, max_size=10))
def test_weights_are_within_an_eighth_of_the_sizes_of_sites_not_too_unlike(units: list[int]) -> None:
    weights = weights_by_size(units)
    shares = [weight * sum(units) / (it * sum(weights)) for weight, it in zip(weights, units, strict=True)]
    assert all(1 <= weight <= MAXIMUM_WEIGHT for weight in weights)
    assert max(shares) / min(shares) < 1.27
