"""The bound on a unit's contribution, for gradients that no small program would give."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from datasites.training.clipping import MOST_UNITS, SHARE, blocks, clipping_factors, require_addable, squared_lengths
from datasites.training.contributions import Contribution, add_clipped, dense, factored, rows
from policies.errors import InvalidInputError

norms = st.sampled_from([1e-30, 1e-6, 0.1, 1.0, 1e6])


def clipped(gradients: dict[str, Tensor], norm: float, present: Tensor) -> dict[str, Tensor]:
    """The sum of whole gradients, as a step begins with it."""
    sums = {name: torch.zeros(value.shape[1:], dtype=torch.float64) for name, value in gradients.items()}
    add_clipped({name: dense(value) for name, value in gradients.items()}, norm, present, sums)
    return sums


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


def of_positions(count: int) -> Callable[[Tensor], Contribution]:
    """A product that is not computed for single units: all of a gradient is in its first position."""

    def form(units: Tensor) -> Contribution:
        sides = torch.zeros(len(units), count, 2), torch.zeros(len(units), count, 2)
        sides[0][:, 0, 0], sides[1][:, 0, 0] = units, 1.0
        return factored(*sides)

    return form


def of_rows(units: Tensor) -> Contribution:
    """A table of one row, which each unit looks up twice."""
    gradients = torch.stack([units, units], 1).reshape(len(units), 2, 1) / 2
    return rows(gradients, torch.zeros(len(units), 2, dtype=torch.int64), 1)


FORMS: dict[str, tuple[Callable[[Tensor], Contribution], tuple[int, ...]]] = {
    "dense": (lambda units: dense(torch.stack([units, 0 * units], 1)), (2,)),
    "one position": (of_positions(1), (2, 2)),
    "two positions": (of_positions(2), (2, 2)),
    "rows": (of_rows, (1, 1)),
}


def total(values: list[float], form: str) -> float:
    """What a step has of the units in this order, at a norm of 1: all of a gradient is in its first number."""
    contribution, shape = FORMS[form]
    sums = torch.zeros(shape, dtype=torch.float64)
    add_clipped({"a": contribution(torch.tensor(values))}, 1.0, torch.ones(len(values), dtype=torch.bool), {"a": sums})
    return float(sums.flatten()[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("power", [4, 5, 6, 12])
def test_one_unit_that_carries_a_sum_over_a_power_of_two_moves_it_by_no_more_than_the_norm(
    power: int, form: str
) -> None:
    """Behind it come pairs that cancel, each with a part that is rounded away or doubled: Casacuberta et al. (2022)."""
    full, last = int(2**power / SHARE), 2.0 ** (power - 24)
    start = [1.0] * full + [2**power - 0.25 - full * SHARE]
    pairs = [last * (1 + 2**-6), -last * (1 - 2**-6)] * 4000
    assert abs(total([*start, 1.0, *pairs], form) - total([*start, 0.0, *pairs], form)) <= 1.0
    assert abs(total([*start, 1.0, *pairs[1:], pairs[0]], form) - total([*start, *pairs], form)) <= 1.0


def test_a_block_is_no_longer_than_the_proof_says_and_blocks_are_added_exactly() -> None:
    assert [len(it) for it in blocks(torch.zeros(300, 2))] == [128, 128, 44]
    large, small = 2.0**20, 2.0**-10
    for form in FORMS:
        values = [large, *[0.0] * 127, small, *[0.0] * 127, -large]
        contribution, shape = FORMS[form]
        sums = torch.zeros(shape, dtype=torch.float64)
        contribution(torch.tensor(values)).add(torch.ones(len(values)), sums)
        assert float(sums.flatten()[0]) == small


def test_positions_of_one_unit_that_cancel_leave_what_stands_between_them() -> None:
    left, sums = torch.tensor([1.0, 2.0**30, -(2.0**30)]).reshape(1, 3, 1), torch.zeros((1, 1), dtype=torch.float64)
    factored(left, torch.ones(1, 3, 1)).add(torch.ones(1), sums)
    assert float(sums) == 1.0


def test_a_sum_of_another_shape_than_its_parameter_is_not_added() -> None:
    """Spread over several numbers, one unit would move them all."""
    for form, _ in FORMS.values():
        with pytest.raises(ValueError, match=r"shape|table"):
            form(torch.ones(3)).add(torch.ones(3), torch.zeros((5, 2, 2), dtype=torch.float64))


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


def test_a_step_has_no_more_places_than_rounding_allows() -> None:
    require_addable(MOST_UNITS)
    with pytest.raises(InvalidInputError, match="lower sampling rate"):
        require_addable(MOST_UNITS + 1)
