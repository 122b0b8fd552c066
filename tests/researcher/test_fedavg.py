"""Federated averaging moves the model in place, by blocks of any size, and by exactly as many parameters as it has."""

import numpy as np
import pytest

from policies.errors import InvalidInputError
from researcher.strategies.fedavg import federated_average


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
