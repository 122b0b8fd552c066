"""The quantiser: bounds, unbiased rounding, exact sums, and a sum that does not open."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.quantise import Quantiser
from policies.errors import InvalidInputError, NotAuthenticError

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_the_ends_and_the_middle_are_exact():
    quantised = Quantiser(8, 2.0).quantise(np.array([-2.0, 0.0, 2.0]), 3)
    assert quantised.view(np.int32).tolist() == [-381, 0, 381]


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, max_size=20), st.integers(8, 25), st.floats(1e-6, 1e6), st.integers(1, 16))
def test_one_value_is_within_a_step_of_its_clipped_self(values, bits, value_range, weight):
    quantiser = Quantiser(bits, value_range)
    array = np.array(values, np.float64)
    back = quantiser.dequantise(quantiser.quantise(array, weight), weight)
    step = value_range / quantiser.levels
    assert np.all(np.abs(back - np.clip(array, -value_range, value_range)) <= step * (1 + 1e-6))
    assert np.all(np.abs(back) <= value_range * (1 + 1e-12))


@pytest.mark.parametrize("value", [0.3, -0.3, 0.9999, 1e-4, -0.77777])
def test_rounding_is_unbiased(value):
    """100 000 roundings of a value between two levels: the mean is within 5 standard errors, and both levels occur."""
    quantiser, count = Quantiser(8, 1.0), 100_000
    scaled = value * quantiser.levels
    integers = quantiser.quantise(np.full(count, value), 1).view(np.int32)
    fraction = scaled - np.floor(scaled)
    assert set(np.unique(integers)) == {np.floor(scaled), np.floor(scaled) + 1}
    assert abs(integers.mean() - scaled) < 5 * np.sqrt(fraction * (1 - fraction) / count)


def test_rounding_differs_from_call_to_call_and_from_block_to_block():
    values = np.full(2 * BLOCK_NUMBERS, 0.5 / 127)
    first, second = (Quantiser(8, 1.0).quantise(values, 1) for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[:BLOCK_NUMBERS], first[BLOCK_NUMBERS:])


def test_neighbouring_coordinates_are_rounded_independently():
    integers = Quantiser(8, 1.0).quantise(np.full(200_000, 0.5 / 127), 1).astype(float)
    assert abs(np.corrcoef(integers[:-1], integers[1:])[0, 1]) < 0.015


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_that_are_not_finite_are_refused_without_saying_more(bad, kind):
    values = np.zeros(BLOCK_NUMBERS + 10, kind)
    values[-1] = bad
    with pytest.raises(InvalidInputError, match="not finite") as caught:
        Quantiser(20, 1.0).quantise(values, 1)
    assert not any(character.isdigit() for character in str(caught.value))


def test_the_largest_sum_that_terms_allow_does_not_wrap():
    quantiser, weights = Quantiser(20, 1.0), [16] * 255 + [15]
    assert sum(weights) << 19 < 2**31
    for sign in (1.0, -1.0):
        total = np.zeros(1, np.uint32)
        for weight in weights:
            total += quantiser.quantise(np.array([sign]), weight)
        assert quantiser.dequantise(total, sum(weights)).tolist() == [pytest.approx(sign)]


def test_a_sum_out_of_reach_is_refused():
    quantiser = Quantiser(8, 1.0)
    for integer in (3 * 127 + 1, -3 * 127 - 1, 2**31 - 1, -(2**31)):
        with pytest.raises(NotAuthenticError, match="does not open"):
            quantiser.dequantise(np.array([0, integer], np.int32).view(np.uint32), 3)
    assert quantiser.dequantise(np.array([381, -381], np.int32).view(np.uint32), 3).tolist() == [1.0, -1.0]


def test_an_empty_vector_stays_empty():
    quantiser = Quantiser(8, 1.0)
    assert quantiser.dequantise(quantiser.quantise(np.empty(0), 1), 1).size == 0
