"""Padded chunks: every sampled unit once, and work that does not tell how many there were."""

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from datasites.catalog.capacity import capacity
from datasites.training.data import UnitData, padded_chunks, sample
from datasites.training.randomness import SecretStream


def numbered(units: int) -> UnitData:
    """Unit u has the feature u + 1 and one record."""
    values = torch.arange(1.0, units + 1)
    return UnitData((values.reshape(-1, 1, 1), values.reshape(-1, 1)), torch.ones(units, 1, dtype=torch.bool))


@settings(max_examples=60, deadline=None)
@given(units=st.integers(0, 60), places=st.integers(1, 40), most=st.integers(1, 40))
def test_chunks_hold_each_unit_once_and_padding_holds_nobody(units: int, places: int, most: int) -> None:
    chosen = torch.arange(units)
    chunks = list(padded_chunks(numbered(80), chosen, places, most))
    seen = torch.cat([chunk.features[chunk.mask] for chunk in chunks]).flatten()
    assert seen.tolist() == (chosen + 1).tolist()
    assert all((chunk.features[~chunk.mask] == 0).all() and (chunk.target[~chunk.mask] == 0).all() for chunk in chunks)


@pytest.mark.parametrize("most", [1, 7, 16, 100])
def test_the_work_is_the_same_for_every_sample_that_fits(most: int) -> None:
    def shapes(units: int) -> list[torch.Size]:
        return [chunk.features.shape for chunk in padded_chunks(numbered(40), torch.arange(units), 16, most)]

    assert shapes(0) == shapes(1) == shapes(16)
    assert len(shapes(17)) == len(shapes(32)) > len(shapes(16))


@pytest.mark.parametrize(("nominal", "rate"), [(50, 0.01), (1_000, 0.1), (100_000, 0.02)])
def test_a_sample_practically_never_needs_more_than_the_capacity(nominal: int, rate: float) -> None:
    assert stats.binom.sf(capacity(nominal, rate), round(1.25 * nominal), rate) < 1e-4


@pytest.mark.parametrize(("nominal", "fraction"), [(185, 0.2), (1_000, 0.25), (100_000, 0.5)])
def test_the_coins_of_the_split_practically_never_need_more_than_the_capacity(nominal: int, fraction: float) -> None:
    places = capacity(round(nominal * fraction), 1.0)
    assert stats.binom.sf(places, round(1.25 * nominal), fraction) < 1e-4
    assert capacity(0, 1.0) == 1


def test_poisson_sampling_takes_every_unit_independently_at_the_public_rate() -> None:
    stream, units, rate, draws = SecretStream(), 40, 0.3, 4_000
    taken = torch.zeros(draws, units)
    for row in taken:
        row[sample(stream, units, rate)] = 1
    deviations = (taken.sum(0) - draws * rate) / math.sqrt(draws * rate * (1 - rate))
    assert stats.chi2.sf(float((deviations**2).sum()), units) > 1e-9
    sizes = taken.sum(1)
    assert abs(float(sizes.var()) / (units * rate * (1 - rate)) - 1) < 0.2  # a fixed batch size would have variance 0
    assert float(torch.corrcoef(taken.T).fill_diagonal_(0).abs().max()) < 0.12


def test_a_sample_stands_in_an_order_drawn_by_lot() -> None:
    """Else one unit more would move all later ones, and so how every later chunk rounds."""
    seen = Counter(tuple(sample(SecretStream(), 3, 1.0).tolist()) for _ in range(6_000))
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > 1e-9


def test_nobody_is_sampled_from_nobody() -> None:
    assert len(sample(SecretStream(), 0, 1.0)) == 0


def test_values_behind_the_mask_are_never_read_into_padding(draw_units: Callable[..., UnitData]) -> None:
    chunk = next(padded_chunks(draw_units(3), torch.arange(2), 5, 5))
    assert chunk.mask[2:].sum() == 0
    assert torch.isfinite(chunk.features[2:]).all()
