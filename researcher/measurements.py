"""From what a round's sum opened to what was measured: the metrics' means and the scores' histograms."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from policies.terms import Terms
from researcher.curves import ScoreCurve
from researcher.estimates import Estimate


def measured_metrics(terms: Terms, counts: NDArray[np.float64]) -> dict[str, Estimate]:
    """Each metric's mean over the cohort's holdout units, from its two noised sums Σ v and Σ (1 − v).

    Args:
        counts: float64 [evaluation.counts], summed over the cohort.
    """
    names = terms.evaluation.metrics
    pairs = zip(names, counts[: 2 * len(names)].reshape(-1, 2), strict=True)
    return {name: Estimate.of_share(float(good), float(bad), _noise(terms)) for name, (good, bad) in pairs}


def measured_curves(terms: Terms, counts: NDArray[np.float64]) -> dict[str, ScoreCurve]:
    """Each score's histogram over the cohort's holdout units, from the same counts."""
    start, curves = 2 * len(terms.evaluation.metrics), {}
    for it in terms.evaluation.histograms:
        negatives, positives = counts[start : start + 2 * it.bins].reshape(2, -1).tolist()
        curves[it.name] = ScoreCurve(negatives=tuple(negatives), positives=tuple(positives), noise=_noise(terms))
        start += 2 * it.bins
    return curves


def _noise(terms: Terms) -> float:
    """The standard deviation on a sum over the cohort, each site of which adds its own noise."""
    return terms.evaluation.noise_deviation * sqrt(len(terms.cohort))
