"""AUROC, calibration and reliability from histograms: scikit-learn's on real scores, right on average under noise."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.preprocessing import StandardScaler

from datasites.training.histograms import histogram
from researcher.curves import ScoreCurve
from researcher.estimates import Estimate

BINS = (10, 50, 1000)


@dataclass(frozen=True)
class Scored:
    """The chances that a model gives real patients, and their diagnoses."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def curve(self, bins: int) -> ScoreCurve:
        """Their histogram as a site makes it, without noise."""
        ones = torch.ones(len(self.scores), dtype=torch.float64)
        counts = histogram(torch.from_numpy(self.scores), torch.from_numpy(self.labels).float(), ones, bins)
        negatives, positives = counts.reshape(2, bins).tolist()
        return ScoreCurve(negatives=tuple(negatives), positives=tuple(positives), noise=0.0)


def score(*measured: int) -> Scored:
    """284 patients of the breast-cancer data under a model of these measurements that learned from the others."""
    features, labels = load_breast_cancer(return_X_y=True)
    scaled = StandardScaler().fit_transform(features[:, measured])
    model = LogisticRegression(C=1e-3).fit(scaled[:285], labels[:285])
    return Scored(model.predict_proba(scaled[285:])[:, 1].astype(np.float32), labels[285:])


@pytest.fixture(scope="module")
def scored() -> Scored:
    """By all thirty measurements: AUROC 0.988."""
    return score(*range(30))


@pytest.fixture(scope="module")
def weakly_scored() -> Scored:
    """By the texture alone: AUROC 0.77, far enough from 1 that noise is seen on both sides."""
    return score(1)


def noised(exact: ScoreCurve, noise: float, generator: np.random.Generator) -> ScoreCurve:
    negatives, positives = (
        tuple((np.array(counts) + generator.normal(0, noise, len(counts))).tolist())
        for counts in (exact.negatives, exact.positives)
    )
    return ScoreCurve(negatives=negatives, positives=positives, noise=noise)


@pytest.mark.parametrize("bins", BINS)
def test_the_area_is_scikit_learns_within_the_bins_resolution(scored: Scored, bins: int) -> None:
    curve = scored.curve(bins)
    ties = np.array(curve.negatives) @ np.array(curve.positives)
    resolution = ties / (2 * sum(curve.negatives) * sum(curve.positives))
    assert curve.auroc is not None
    assert curve.auroc.noise == 0
    assert abs(curve.auroc.value - roc_auc_score(scored.labels, scored.scores)) <= resolution
    assert resolution < 0.02


@pytest.mark.parametrize("bins", BINS)
def test_the_area_of_binned_scores_is_scikit_learns_exactly(scored: Scored, bins: int) -> None:
    binned = np.floor(scored.scores.astype(float) * bins)
    area = scored.curve(bins).auroc
    assert area is not None
    assert area.value == pytest.approx(roc_auc_score(scored.labels, binned), abs=1e-12)


@pytest.mark.parametrize("bins", BINS)
def test_the_roc_curve_is_scikit_learns_at_the_bins_edges(scored: Scored, bins: int) -> None:
    binned = np.floor(scored.scores.astype(float) * bins)
    expected_false, expected_true, _ = roc_curve(scored.labels, binned, drop_intermediate=False)
    false_positives, true_positives = scored.curve(bins).roc()
    corners = {(round(x, 9), round(y, 9)) for x, y in zip(false_positives, true_positives, strict=True)}
    assert corners == {(round(x, 9), round(y, 9)) for x, y in zip(expected_false, expected_true, strict=True)}


@pytest.mark.parametrize("bins", [10, 50, 1000])
def test_reliability_and_calibration_error_are_scikit_learns(scored: Scored, bins: int) -> None:
    curve = scored.curve(bins)
    observed, predicted = calibration_curve(scored.labels, scored.scores, n_bins=10)
    units, _ = np.histogram(scored.scores, 10, (0, 1))
    points = curve.reliability()
    assert [it.units for it in points] == units[units > 0].tolist()
    np.testing.assert_allclose([it.observed.value for it in points], observed, atol=1e-12)
    np.testing.assert_allclose([it.predicted for it in points], predicted, atol=0.5 / bins + 1e-6)
    expected = (units[units > 0] * np.abs(observed - predicted)).sum() / units.sum()
    assert curve.calibration_error.value == pytest.approx(expected, abs=0.5 / bins + 1e-6)
    assert (curve.calibration_error.noise, curve.calibration_floor) == (0, 0)


@pytest.mark.parametrize(("bins", "noise"), [(10, 1.0), (10, 3.0), (20, 3.0), (50, 1.0)])
def test_the_area_is_right_in_the_middle_and_its_noise_is_what_it_says(
    weakly_scored: Scored, bins: int, noise: float
) -> None:
    exact, generator = weakly_scored.curve(bins), np.random.default_rng(bins)
    found = [curve.auroc for curve in (noised(exact, noise, generator) for _ in range(1500))]
    areas = np.array([it.value for it in found if it is not None])
    assert len(areas) > 0.99 * len(found)
    said = np.median([it.noise for it in found if it is not None])
    low, high = np.quantile(areas, [0.1587, 0.8413])
    assert exact.auroc is not None
    assert abs(np.median(areas) - exact.auroc.value) < 0.01
    assert 0.85 < said / ((high - low) / 2) < 1.15


def test_negative_counts_stay_or_the_area_would_fall_to_a_half(scored: Scored) -> None:
    exact, generator = scored.curve(50), np.random.default_rng(1)
    curves = [noised(exact, 1.5, generator) for _ in range(300)]
    cut = [
        it.model_copy(update={side: tuple(np.clip(getattr(it, side), 0, None)) for side in ("negatives", "positives")})
        for it in curves
    ]
    kept, fallen = (np.median([it.auroc.value for it in some if it.auroc is not None]) for some in (curves, cut))
    assert exact.auroc is not None
    assert abs(kept - exact.auroc.value) < 0.02
    assert fallen < 0.85


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_the_calibration_error_comes_with_its_noise_and_its_floor(noise: float) -> None:
    """A score that is calibrated perfectly: all that is found is the floor."""
    middles = (np.arange(20) + 0.5) / 20
    exact = ScoreCurve(negatives=tuple(30 * (1 - middles)), positives=tuple(30 * middles), noise=0.0)
    assert exact.calibration_error.value == pytest.approx(0, abs=1e-12)
    generator = np.random.default_rng(7)
    curves = [noised(exact, noise, generator) for _ in range(1000)]
    errors = np.array([it.calibration_error.value for it in curves])
    assert errors.mean() == pytest.approx(np.mean([it.calibration_floor for it in curves]), rel=0.05)
    assert errors.std() < np.mean([it.calibration_error.noise for it in curves])


def test_too_few_of_a_class_give_no_area(scored: Scored) -> None:
    exact = scored.curve(10)
    assert ScoreCurve(negatives=exact.negatives, positives=(0.0,) * 10, noise=0.0).auroc is None
    lost = exact.model_copy(update={"noise": 60.0})
    assert lost.auroc is None
    assert lost.reliability() == ()


def test_a_shares_noise_is_what_it_says() -> None:
    generator = np.random.default_rng(3)
    draws = [Estimate.of_share(*(np.array([80.0, 25.0]) + generator.normal(0, 4.0, 2)), 4.0) for _ in range(2000)]
    values = np.array([it.value for it in draws])
    assert values.mean() == pytest.approx(80 / 105, abs=0.005)
    assert np.mean([it.noise for it in draws]) == pytest.approx(values.std(), rel=0.1)
    assert str(draws[0]).count("±") == 1
    assert str(Estimate(value=0.5, noise=0.0)) == "0.500"
