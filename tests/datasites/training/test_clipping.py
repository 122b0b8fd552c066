"""The bound on a unit's contribution, for gradients that no small program would give."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from datasites.training.clipping import SHARE, clipping_factors, squared_lengths
from datasites.training.per_unit import clipped

norms = st.sampled_from([1e-30, 1e-6, 0.1, 1.0, 1e6])


def lengths(gradients: dict[str, Tensor], norm: float) -> list[float]:
    """How long each unit's contribution is, with the others away."""
    count = len(next(iter(gradients.values())))
    found = []
    for unit in range(count):
        sums = clipped(gradients, norm, torch.arange(count) == unit)
        found.append(float(torch.cat([it.flatten() for it in sums.values()]).double().norm()))
    return found


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(-37, 37), norm=norms, seed=st.integers(0, 2**31))
def test_no_unit_is_ever_longer_than_the_norm(scale: float, norm: float, seed: int) -> None:
    normal = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    gradients = {"a": normal((5, 4, 300)) * 10.0**scale, "b": normal((5, 7)) * 10.0 ** (scale / 2)}
    assert max(lengths(gradients, norm)) <= norm


def test_small_coordinates_that_float32_sums_of_squares_lose_still_count() -> None:
    crafted = torch.full((1, 4_000_000), 2.0**-12.7)
    crafted[0, :64] = 1.0
    assert lengths({"a": crafted}, 8.0)[0] <= 8.0


@pytest.mark.parametrize("flushed", [False, True])
def test_numbers_whose_squares_vanish_are_bounded_all_the_same(flushed: bool) -> None:
    """A million numbers of 10⁻²³ have squares of zero and a length of 10⁻²⁰; so a norm below that must still hold."""
    torch.set_flush_denormal(flushed)
    try:
        gradients = {"a": torch.full((1, 1_000_000), 1e-23)}
        assert lengths(gradients, 1e-22)[0] <= 1e-22
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 511, 512, 1000])
def test_squares_are_those_of_all_numbers(count: int) -> None:
    values = torch.randn((3, count), generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(squared_lengths(values), values.double().square().sum(1), rtol=2e-5)


def total(values: list[float]) -> float:
    """What the optimiser has of the units in this order, at a norm of 1: all of a gradient is in its first number."""
    units = torch.tensor(values)
    sums = clipped({"a": torch.stack([units, 0 * units], 1)}, 1.0, torch.ones(len(units), dtype=torch.bool))["a"]
    assert sums.dtype == torch.float64
    return float(sums[0])


@pytest.mark.parametrize("power", [4, 5, 6, 12])
def test_one_unit_that_carries_a_sum_over_a_power_of_two_moves_it_by_no_more_than_the_norm(power: int) -> None:
    """Behind it come pairs that cancel, each with a part that is rounded away or doubled: Casacuberta et al. (2022)."""
    full, last = int(2**power / SHARE), 2.0 ** (power - 24)
    start = [1.0] * full + [2**power - 0.25 - full * SHARE]
    pairs = [last * (1 + 2**-6), -last * (1 - 2**-6)] * 4000
    assert abs(total([*start, 1.0, *pairs]) - total([*start, 0.0, *pairs])) <= 1.0
    assert abs(total([*start, 1.0, *pairs[1:], pairs[0]]) - total([*start, *pairs])) <= 1.0


def test_whatever_is_not_finite_adds_exactly_zero() -> None:
    gradients = {"a": torch.ones(6, 3), "b": torch.ones(6, 300)}
    gradients["a"][0, 1], gradients["b"][1, 7], gradients["b"][2, 299] = torch.nan, torch.inf, -torch.inf
    gradients["b"][3] = 3e38
    alone = {name: value[4:] for name, value in gradients.items()}
    everybody = clipped(gradients, 1.0, torch.ones(6, dtype=torch.bool))
    for name, value in clipped(alone, 1.0, torch.ones(2, dtype=torch.bool)).items():
        assert torch.equal(everybody[name], value)


def test_short_gradients_are_left_as_they_are() -> None:
    squares = [torch.tensor([0.25, 1e-30, 4.0], dtype=torch.float64)]
    factors = clipping_factors(squares, 10, 1.0, torch.tensor([True, True, True]))
    assert factors[:2].tolist() == [1.0, 1.0]
    assert 0.4999 * SHARE < float(factors[2]) < 0.5 * SHARE
