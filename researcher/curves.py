"""What a score's noised histogram tells: ROC curve and area, calibration error and reliability, with their noise."""

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from policies.statements.schema import StrictModel
from researcher.estimates import Estimate

_GROUPS = 10
_LEAST_DEVIATIONS = 2.0

_Counts = Annotated[tuple[float, ...], Field(min_length=2, max_length=1000)]


@dataclass(frozen=True)
class ReliabilityPoint:
    """One group of neighbouring bins: the mean score there, the share that is labelled 1, and how many units lie there.

    All three are noised; the mean score is kept within its group.
    """

    predicted: float
    observed: Estimate
    units: float


class ScoreCurve(StrictModel):
    """A score's histogram over the holdout units of all sites.

    `negatives` and `positives` say how many units, labelled 0 and 1, have their score in each equal bin of [0, 1].
    `noise` is the standard deviation of the noise on each, which makes some of them negative. A negative count stays in
    every figure: cutting it off would let empty bins count as people, and pull the area towards ½.
    """

    negatives: _Counts
    positives: _Counts
    noise: Annotated[float, Field(ge=0)]

    @property
    def auroc(self) -> Estimate | None:
        """The area under the ROC curve: how often a positive scores above a negative, ties counting half.

        It is the Mann–Whitney statistic (Hanley & McNeil 1982) of the bins, Σ w_ij p_i n_j / (P N) with w 1, ½ or 0,
        and off the exact area by at most half the share of pairs in one bin. The noise on P N (A − true A) =
        Σ (w_ij − A) p_i n_j is a part linear in each class's noise and a part with both; its variance is estimated from
        the noised counts without bias. None if there are too few of a class to tell over the noise.
        """
        negatives, positives = self._arrays()
        all_negatives, all_positives = negatives.sum(), positives.sum()
        bins = len(negatives)
        if min(all_negatives, all_positives) <= _LEAST_DEVIATIONS * self.noise * sqrt(bins):
            return None
        below = np.cumsum(negatives) - negatives / 2
        above = all_positives - np.cumsum(positives) + positives / 2
        pairs = all_positives * all_negatives
        area = float(positives @ below / pairs)
        linear = ((below - area * all_negatives) ** 2).sum() + ((above - area * all_positives) ** 2).sum()
        both = bins * (0.5 - area) ** 2 + bins * (bins - 1) / 2 * ((1 - area) ** 2 + area**2)
        # The counts' own noise is in `linear` twice over.
        variance = self.noise**2 * max(linear - self.noise**2 * both, self.noise**2 * both)
        return Estimate(value=min(max(area, 0.0), 1.0), noise=float(sqrt(variance) / pairs))

    @property
    def calibration_error(self) -> Estimate:
        """The expected calibration error (Naeini, Cooper & Hauskrecht 2015) over up to 10 groups of neighbouring bins.

        It is Σ over groups of |positives − Σ scores| over all units, with each bin's middle for its scores: off by at
        most half a bin. Noise makes it larger on average: see `calibration_floor`.
        """
        negatives, positives = self._arrays()
        middles = self._middles()
        gaps = positives * (1 - middles) - negatives * middles
        units = max(float((negatives + positives).sum()), 1.0)
        error = sum(abs(float(gaps[group].sum())) for group in self._groups()) / units
        return Estimate(value=min(error, 1.0), noise=float(np.sqrt((self._gap_noise() ** 2).sum())) / units)

    @property
    def calibration_floor(self) -> float:
        """What `calibration_error` would be on average, by noise alone, for a score that is calibrated perfectly."""
        negatives, positives = self._arrays()
        units = max(float((negatives + positives).sum()), 1.0)
        return float(self._gap_noise().sum()) * sqrt(2 / pi) / units

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rates at each bin's edge as a threshold, from 1 down to 0: float64 [bins + 1] each.

        Noise may make them fall on the way; they are cut to [0, 1].
        """
        rates = (np.cumsum(counts[::-1]) / max(float(counts.sum()), 1.0) for counts in self._arrays())
        false_positives, true_positives = (np.clip(np.concatenate([[0.0], rate]), 0, 1) for rate in rates)
        return false_positives, true_positives

    def reliability(self) -> tuple[ReliabilityPoint, ...]:
        """Score against outcome, for up to 10 groups of bins: those with enough units to tell over the noise."""
        negatives, positives = self._arrays()
        middles, half = self._middles(), 0.5 / len(negatives)
        points = []
        for group in self._groups():
            good, bad = float(positives[group].sum()), float(negatives[group].sum())
            units = good + bad
            if units <= _LEAST_DEVIATIONS * self.noise * sqrt(2 * len(middles[group])):
                continue
            scores = float((middles[group] * (negatives[group] + positives[group])).sum()) / units
            lowest, highest = middles[group][0] - half, middles[group][-1] + half
            deviation = self.noise * sqrt(len(middles[group]))
            predicted = float(min(max(scores, lowest), highest))
            points.append(ReliabilityPoint(predicted, Estimate.of_share(good, bad, deviation), units))
        return tuple(points)

    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.negatives), np.array(self.positives)

    def _middles(self) -> NDArray[np.float64]:
        bins = len(self.negatives)
        middles: NDArray[np.float64] = (np.arange(bins) + 0.5) / bins
        return middles

    def _groups(self) -> list[slice]:
        edges = np.linspace(0, len(self.negatives), min(_GROUPS, len(self.negatives)) + 1).round().astype(int)
        return [slice(int(start), int(end)) for start, end in pairwise(edges)]

    def _gap_noise(self) -> NDArray[np.float64]:
        """The noise's standard deviation on each group's positives minus its scores."""
        middles = self._middles()
        of_bins = (1 - middles) ** 2 + middles**2
        return self.noise * np.sqrt([float(of_bins[group].sum()) for group in self._groups()])
