"""The law of sums of noise that each site rounds for itself: the quantiser's, against the Gaussian that is claimed."""

from math import erf, exp, log, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from datasites.secure_averaging.quantise import Quantiser, Rounding

Law = NDArray[np.float64]
POINTS = 2**12
"""Of the grid, from −POINTS/2 on: more than any sum here reaches."""
HALF = POINTS // 2
NEVER = 1e-6


def rounded(mean: float, deviation: float, weight: int) -> Law:
    """P[weight × R(x) = k] of a Gaussian x on a grid of step 1, by integrating the rounding's chances."""
    x = mean + deviation * np.linspace(-12, 12, 400_001)
    density = np.exp(-(((x - mean) / deviation) ** 2) / 2)
    density /= density.sum()
    low = np.floor(x).astype(int)
    law = np.zeros(POINTS)
    np.add.at(law, weight * low + HALF, density * (low + 1 - x))
    np.add.at(law, weight * (low + 1) + HALF, density * (x - low))
    return law


def summed(means: tuple[float, ...], deviations: tuple[float, ...], weights: tuple[int, ...]) -> Law:
    law = rounded(means[0], deviations[0], weights[0])
    for mean, deviation, weight in zip(means[1:], deviations[1:], weights[1:], strict=True):
        law = np.convolve(law, rounded(mean, deviation, weight))[HALF : HALF + POINTS]
    return law


def ideal(means: tuple[float, ...], deviations: tuple[float, ...], weights: tuple[int, ...]) -> Law:
    """A post-processing of the sum of the Gaussians, by its transform, as policies.budget.distributed_noise has it."""
    t = np.linspace(-40, 40, 160_001)
    total, variance = (
        np.dot(weights, means),
        sum((weight * it) ** 2 for weight, it in zip(weights, deviations, strict=True)),
    )
    transform = np.exp(-variance * t**2 / 2)
    for weight in weights:
        transform = transform * np.sinc(weight * t / (2 * pi)) ** 2
    near = np.arange(-200, 201) + round(total)
    law = np.zeros(POINTS)
    law[near + HALF] = (np.cos(np.outer(near - total, t)) * transform).sum(1) * (t[1] - t[0]) / (2 * pi)
    return law


def worst_delta(one: Law, other: Law, epsilon: float) -> float:
    return float(np.maximum(one - exp(epsilon) * other, 0).sum())


def gaussian_delta(multiplier: float, epsilon: float) -> float:
    """Of the Gaussian mechanism (Balle & Wang 2018, Theorem 8)."""

    def normal(z: float) -> float:
        return (1 + erf(z / sqrt(2))) / 2

    half = 1 / (2 * multiplier)
    return normal(half - epsilon * multiplier) - exp(epsilon) * normal(-half - epsilon * multiplier)


@pytest.mark.parametrize("weights", [(1, 1), (2, 3), (1, 3, 2)])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5, 2.0])
def test_sums_of_rounded_noise_are_as_near_to_the_ideal_as_the_proof_says(weights: tuple[int, ...], ratio: float):
    """`ratio` is the smallest deviation over the largest weight, in steps of the grid."""
    means = (0.31, -0.77, 0.5)[: len(weights)]
    deviations = tuple(max(weights) * ratio * more for more in (1, 1.2, 1.4)[: len(weights)])
    law, wanted = summed(means, deviations, weights), ideal(means, deviations, weights)
    assert abs(law.sum() - 1) < 1e-9
    assert abs(wanted.sum() - 1) < 1e-9
    assert np.abs(law - wanted).max() <= 1.01 * exp(-(pi**2) * ratio**2 / 2) + 1e-9


def test_two_sites_whose_noise_is_finer_than_the_grid_are_not_near_it():
    """So the bound on the grid is needed: this is ten thousand times what a δ allows."""
    law, wanted = (it((0.0, 0.5), (0.1, 0.1), (1, 1)) for it in (summed, ideal))
    assert np.abs(law - wanted).sum() > 0.01


@pytest.mark.parametrize("deviations", [(4.0, 4.0), (4.0, 7.0), (5.0, 4.0)])
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0])
def test_a_unit_is_hidden_by_the_noise_of_two_sites(deviations: tuple[float, float], epsilon: float):
    """The exact δ of one coordinate, over sums that differ by one unit of the first site, which moves it by 2 steps."""
    multiplier = sqrt(deviations[0] ** 2 + deviations[1] ** 2) / 2
    for start in (0.0, 0.25, 0.5):
        with_it, without = (summed((start + moved, 0.1), deviations, (1, 1)) for moved in (2.0, 0.0))
        exact = max(worst_delta(with_it, without, epsilon), worst_delta(without, with_it, epsilon))
        assert exact <= gaussian_delta(multiplier, epsilon) + 1e-9
        assert exact > 0.9 * gaussian_delta(1.03 * multiplier, epsilon), "much less would be another mechanism"


def test_the_quantiser_draws_from_that_law():
    """200 000 sums of two sites, by the code that sites run, at a coarse grid and unequal weights."""
    quantiser, count, law = Quantiser(9, 255.0), 200_000, summed((0.4, -1.3), (2.5, 3.5), (2, 3))
    random, total = np.random.default_rng(5), np.zeros(count, np.int64)
    for mean, deviation, weight in ((0.4, 2.5, 2), (-1.3, 3.5, 3)):
        values = random.normal(mean, deviation, count)
        rounding, block = Rounding(quantiser, weight), np.empty(10_000, np.int32)
        for start in range(0, count, block.size):
            rounding.quantise(values[start : start + block.size], block)
            total[start : start + block.size] += block
    seen = np.bincount(total + HALF, minlength=POINTS)
    often = law * count > 20
    expected, got = np.append(law[often], law[~often].sum()) * count, np.append(seen[often], seen[~often].sum())
    assert stats.chisquare(got, expected * got.sum() / expected.sum()).pvalue > NEVER
    assert log(often.sum()) > 3
