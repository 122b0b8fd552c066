"""The quantiser: bounds, unbiased rounding, exact sums, and a sum that does not open."""

from itertools import pairwise
from math import floor
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.secure_averaging.keystream import BLOCK_NUMBERS, Keystream
from datasites.secure_averaging.quantise import Quantiser, Rounding
from policies.errors import NotAuthenticError

finite = st.floats(allow_nan=False, allow_infinity=False)


def quantise(quantiser: Quantiser, values: np.ndarray, weight: int) -> np.ndarray:
    """A whole vector, quantised in blocks."""
    rounding, quantised = Rounding(quantiser, weight), np.empty(values.size, np.int32)
    for start in range(0, values.size, BLOCK_NUMBERS):
        stretch = slice(start, start + BLOCK_NUMBERS)
        rounding.quantise(values[stretch], quantised[stretch])
    return quantised.view(np.uint32)


def test_the_ends_and_the_middle_are_exact():
    quantised = quantise(Quantiser(8, 2.0), np.array([-2.0, 0.0, 2.0]), 3)
    assert quantised.view(np.int32).tolist() == [-381, 0, 381]


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, max_size=20), st.integers(8, 25), st.floats(1e-6, 1e6), st.integers(1, 16))
def test_one_value_is_within_a_step_of_its_clipped_self(values, bits, value_range, weight):
    quantiser = Quantiser(bits, value_range)
    array = np.array(values, np.float64)
    back = quantiser.dequantise(quantise(quantiser, array, weight), weight)
    step = value_range / quantiser.levels
    assert np.all(np.abs(back - np.clip(array, -value_range, value_range)) <= step * (1 + 1e-6))
    assert np.all(np.abs(back) <= value_range * (1 + 1e-12))


@pytest.mark.parametrize("value", [0.3, -0.3, 0.9999, 1e-4, -0.77777])
def test_rounding_is_unbiased(value):
    """100 000 roundings of a value between two levels: the mean is within 5 standard errors, and both levels occur."""
    quantiser, count = Quantiser(8, 1.0), 100_000
    scaled = value * quantiser.levels
    integers = quantise(quantiser, np.full(count, value), 1).view(np.int32)
    fraction = scaled - np.floor(scaled)
    assert set(np.unique(integers)) == {np.floor(scaled), np.floor(scaled) + 1}
    assert abs(integers.mean() - scaled) < 5 * np.sqrt(fraction * (1 - fraction) / count)


def test_rounding_differs_from_call_to_call_and_from_block_to_block():
    values = np.full(2 * BLOCK_NUMBERS, 0.5 / 127)
    first, second = (quantise(Quantiser(8, 1.0), values, 1) for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[:BLOCK_NUMBERS], first[BLOCK_NUMBERS:])


def test_neighbouring_coordinates_are_rounded_independently():
    integers = quantise(Quantiser(8, 1.0), np.full(200_000, 0.5 / 127), 1).astype(float)
    assert abs(np.corrcoef(integers[:-1], integers[1:])[0, 1]) < 0.015


def test_the_largest_sum_that_terms_allow_does_not_wrap():
    quantiser, weights = Quantiser(20, 1.0), [16] * 255 + [15]
    assert sum(weights) << 19 < 2**31
    for sign in (1.0, -1.0):
        total = np.zeros(1, np.uint32)
        for weight in weights:
            total += quantise(quantiser, np.array([sign]), weight)
        assert quantiser.dequantise(total, sum(weights)).tolist() == [pytest.approx(sign)]


def test_a_sum_out_of_reach_is_refused():
    quantiser = Quantiser(8, 1.0)
    for integer in (3 * 127 + 1, -3 * 127 - 1, 2**31 - 1, -(2**31)):
        with pytest.raises(NotAuthenticError, match="does not open"):
            quantiser.require_reach(np.array([0, integer], np.int32).view(np.uint32), 3)
    quantiser.require_reach(np.array([381, -381], np.int32).view(np.uint32), 3)
    assert quantiser.dequantise(np.array([381, -381], np.int32).view(np.uint32), 3).tolist() == [1.0, -1.0]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=5),
    bits=st.integers(8, 25),
    value_range=st.sampled_from([0.25, 1.0, 3.7, 1e6]),
    weight=st.integers(1, 16),
)
def test_it_is_the_slow_definition_however_the_vector_is_cut(values, cuts, bits, value_range, weight):
    """⌊x · levels / range + u · 2⁻³²⌋, clipped, times the weight, one number at a time in Python."""
    key, quantiser, array = b"q" * 32, Quantiser(bits, value_range), np.array(values, np.float32)
    stream = np.empty(array.size, "<u4")
    Keystream(key).fill(stream)
    scale = quantiser.levels / value_range
    expected = [
        weight * max(-quantiser.levels, min(quantiser.levels, floor(float(x) * scale + int(u) * 2.0**-32)))
        for x, u in zip(array, stream, strict=True)
    ]
    with patch("os.urandom", return_value=key):
        rounding = Rounding(quantiser, weight)
    got = np.empty(array.size, np.int32)
    places = [0, *sorted(min(cut, array.size) for cut in cuts), array.size]
    for start, end in pairwise(places):
        rounding.quantise(array[start:end], got[start:end])
    assert got.tolist() == expected


def test_an_empty_vector_stays_empty():
    quantiser = Quantiser(8, 1.0)
    assert quantiser.dequantise(quantise(quantiser, np.empty(0), 1), 1).size == 0
