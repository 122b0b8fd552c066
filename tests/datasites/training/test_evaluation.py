"""Metrics on holdout units: per-unit means, clipping, noise and sensitivity."""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from scipy import stats

from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.prepared import PreparedProgram
from datasites.training.randomness import SecretStream
from policies.terms import Evaluation

MODEL = torch.zeros(4)
TERMS = Evaluation(models=(0,), metrics=("target", "first"), histograms=(), noise_multiplier=2.0)


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))


def units(first: list[list[float]], target: list[list[float]], mask: list[list[bool]]) -> UnitData:
    features = torch.zeros(len(first), len(first[0]), 3)
    features[..., 0] = torch.tensor(first)
    return UnitData((features, torch.tensor(target)), torch.tensor(mask))


@pytest.mark.usefixtures("without_noise")
def test_sums_of_unit_means_and_of_what_is_left_to_one(two_metrics: PreparedProgram) -> None:
    data = units([[0.5, 1.0], [0.25, 9.0]], [[1.0, 0.0], [1.0, 0.0]], [[True, True], [True, False]])
    sums = local_evaluation(two_metrics, MODEL, data, TERMS, nominal_units=10)
    np.testing.assert_allclose(sums, [0.5 + 1.0, 0.5 + 0.0, 0.75 + 0.25, 0.25 + 0.75])  # in the order of the terms


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize(("value", "counts_as"), [(7.0, 1.0), (-3.0, 0.0), (np.nan, 0.0), (np.inf, 0.0)])
def test_a_metric_outside_its_range_is_clipped_before_the_mean(
    two_metrics: PreparedProgram, value: float, counts_as: float
) -> None:
    data = units([[value, 1.0]], [[0.0, 0.0]], [[True, True]])
    sums = local_evaluation(two_metrics, MODEL, data, TERMS, nominal_units=1)
    assert sums[2] == (counts_as + 1.0) / 2


@pytest.mark.usefixtures("without_noise")
def test_padding_and_units_without_records_add_nothing(
    two_metrics: PreparedProgram, draw_units: Callable[..., UnitData]
) -> None:
    data = draw_units(9)
    data.mask[4] = False
    for chunk in (1, 4, 100):
        metrics = replace(two_metrics, chunk=chunk)
        sums = local_evaluation(metrics, MODEL, data, TERMS, nominal_units=20)
        np.testing.assert_allclose(sums[0::2] + sums[1::2], [8.0, 8.0])


@pytest.mark.usefixtures("without_noise")
def test_any_unit_moves_the_sums_by_at_most_the_root_of_the_number_of_metrics(
    two_metrics: PreparedProgram, draw_units: Callable[..., UnitData]
) -> None:
    data = draw_units(8)
    everybody = local_evaluation(two_metrics, MODEL, data, TERMS, nominal_units=8)
    for gone in range(8):
        rest = [unit for unit in range(8) if unit != gone]
        some = UnitData((data.features[rest], data.target[rest]), data.mask[rest])
        move = everybody - local_evaluation(two_metrics, MODEL, some, TERMS, nominal_units=8)
        assert np.linalg.norm(move) <= sqrt(2) * (1 + 1e-12)


def test_the_noise_has_the_scale_that_is_charged(two_metrics: PreparedProgram) -> None:
    nobody = UnitData((torch.zeros(0, 1, 3), torch.zeros(0, 1)), torch.zeros(0, 1, dtype=torch.bool))
    draws = np.concatenate([local_evaluation(two_metrics, MODEL, nobody, TERMS, 2) for _ in range(1000)])
    scaled = draws / (2.0 * sqrt(2))
    assert stats.kstest(scaled, "norm").pvalue > 1e-7
    assert 0.9 < scaled.std() < 1.1
