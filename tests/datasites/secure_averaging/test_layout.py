"""The layout: what a round's vector holds follows from the terms alone."""

import numpy as np
import pytest

from datasites.secure_averaging.layout import METRIC_QUANTISER, vector_length
from datasites.secure_averaging.quantise import Rounding
from policies.errors import InvalidInputError, RefusedError
from tests.whole_vectors import encode, opened


@pytest.fixture(scope="module")
def terms(cohort_factory):
    """Two training rounds; models 0 and 2 are measured by a metric and a histogram, so round 3 only evaluates."""
    return cohort_factory(
        parameters=5, rounds=2, models=(0, 2), histograms=({"name": "ill", "bins": 3},), weights=(1, 2, 3)
    ).terms


def test_the_lengths_follow_the_terms(terms):
    assert [vector_length(terms, number) for number in (1, 2, 3)] == [5 + 8, 5, 8]


@pytest.mark.parametrize("number", [-1, 0, 4])
def test_a_round_that_does_not_exist_is_refused(terms, number):
    with pytest.raises(InvalidInputError, match="rounds 1 to 3"):
        vector_length(terms, number)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_average_and_the_counts_come_back(terms, number):
    generator = np.random.default_rng(number)
    weights = (1, 2, 3)
    updates = generator.uniform(-1, 1, (3, 5)).astype(np.float32)
    counts = generator.uniform(-20, 5000, (3, 8))
    trains, evaluates = number != 3, number != 2
    total = sum(
        encode(terms, number, update if trains else None, count if evaluates else None, weight)
        for update, count, weight in zip(updates, counts, weights, strict=True)
    )
    whole = opened(terms, number, total)
    if trains:
        step = 1.0 / (2**19 - 1)
        assert np.max(np.abs(whole.update - np.average(updates, axis=0, weights=weights))) <= step
    else:
        assert whole.update is None
    if evaluates:
        assert np.max(np.abs(whole.metrics - counts.sum(axis=0))) <= 3 * 0.2501
    else:
        assert whole.metrics is None


def test_parts_that_do_not_fit_the_round_are_refused(terms):
    update, counts = np.zeros(5, np.float32), np.zeros(8)
    for number, bad_update, bad_counts in (
        (1, update, None),
        (1, None, counts),
        (1, update[:4], counts),
        (1, update, counts[:3]),
        (2, update, counts),
        (3, update, counts),
        (3, None, None),
        (1, counts[:5], update),
        (1, update[None], counts),
        (3, None, counts.reshape(2, 4)),
    ):
        with pytest.raises(RefusedError, match="not what the terms let it release"):
            encode(terms, number, bad_update, bad_counts, 1)


def test_a_sum_of_another_length_is_refused(terms):
    for length in (0, 5, 12, 14):
        with pytest.raises(InvalidInputError, match="ask for 13"):
            opened(terms, 1, np.zeros(length, np.uint32))


def test_a_hundred_sites_full_counts_do_not_wrap():
    one = np.empty(2, np.int32)
    Rounding(METRIC_QUANTISER, 1).quantise(np.array([2.0**22, -(2.0**22)]), one)
    total = (one * 100).view(np.uint32)
    METRIC_QUANTISER.require_reach(total, 100)
    assert METRIC_QUANTISER.dequantise(total, 100).tolist() == pytest.approx([2.0**22, -(2.0**22)])
