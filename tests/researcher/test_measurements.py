"""From three sites' holdout patients to a researcher's figures, with the programs, sums and noise that a study uses."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from datasites.tensor_programs.load import flatten, load_parameters
from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.prepared import prepare_program
from policies.budget.costs import request_cost, round_mechanisms
from policies.terms import Terms
from researcher.estimates import Estimate
from researcher.export import ExportedPlan, export
from researcher.measurements import measured_curves, measured_metrics
from researcher.plan import TrainingPlan
from researcher.round_record import RoundRecord, read_history
from tests.demo.hospitals import UNITS, share_out
from tests.one_study import make_terms
from tests.record_forms import columns
from tests.whole_vectors import encode, opened

BINS = 200


class Weighing(TrainingPlan):
    """A linear model whose weights are as the direction in which the classes' means differ: it needs no training."""

    def model(self) -> nn.Module:
        hospitals, _ = share_out()
        features = np.concatenate([it.standardised() for it in hospitals.values()])
        target = np.concatenate([it.target for it in hospitals.values()])
        model = nn.Linear(30, 1)
        with torch.no_grad():
            away = features[target == 1].mean(0) - features[target == 0].mean(0)
            middle = (features[target == 1].mean(0) + features[target == 0].mean(0)) / 2
            model.weight.copy_(torch.from_numpy(away)[None])
            model.bias.fill_(float(-(away @ middle)))
        return model

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        chance = output.squeeze(-1).sigmoid()
        return {"accuracy": ((chance > 0.5).long() == target).float(), "error": (chance - target) ** 2}

    def scores(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        return {"malignant": (output.squeeze(-1).sigmoid(), target)}


@cache
def exported() -> ExportedPlan:
    return export(Weighing(), columns(30, "int64", 2))


@dataclass(frozen=True)
class Pooled:
    """All three hospitals' patients as one data set: chances that the model gives, and diagnoses."""

    scores: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="module")
def pooled() -> Pooled:
    hospitals, _ = share_out()
    features = torch.from_numpy(np.concatenate([it.standardised() for it in hospitals.values()]))
    scores = exported().model(features).detach().squeeze(-1).sigmoid().numpy()
    return Pooled(scores, np.concatenate([it.target for it in hospitals.values()]))


def terms(**changes: Any) -> Terms:
    plan = exported()
    evaluation = {
        "models": [0],
        "metrics": list(plan.measured.metrics),
        "histograms": [{"name": name, "bins": BINS} for name in plan.measured.scores],
    }
    programs = {"loss": plan.loss.digest(), "metrics": plan.metrics.digest(), "parameter_count": plan.parameter_count}
    noise = changes.pop("noise", {})
    merged = {"programs": programs, "evaluation": {**evaluation, **noise}, **changes}
    return make_terms("1" * 32, "e" * 64, [f"{number:064x}" for number in range(3)], 2_000_000_000, merged)


NO_NOISE: dict[str, Any] = {
    "privacy": None,
    "training": {"noise_multiplier": 0.0},
    "noise": {"noise_multiplier": 0.0},
}


def measured(study: Terms) -> RoundRecord:
    """Round 1 as three sites and a coordinator go through it, but for masks and mail."""
    plan = exported()
    values = load_parameters(plan.parameters, plan.loss, maximum_bytes=len(plan.parameters))
    metrics = prepare_program(plan.metrics, kind="metrics", values=values, memory_bytes=2**26)
    update, total = np.zeros(plan.parameter_count, np.float32), np.zeros(1, np.uint32)
    hospitals, _ = share_out()
    for name, patients in hospitals.items():
        features = torch.from_numpy(patients.standardised())[:, None]
        data = UnitData(
            (features, torch.from_numpy(patients.target)[:, None]), torch.ones(len(features), 1, dtype=torch.bool)
        )
        counts = local_evaluation(metrics, flatten(values, plan.loss), data, study.evaluation, UNITS[name])
        total = total + encode(study, 1, update, counts, 1)
    whole = opened(study, 1, total)
    assert whole.metrics is not None
    return RoundRecord(1, measured_metrics(study, whole.metrics), measured_curves(study, whole.metrics), 0.5, 0.25)


def test_without_noise_the_figures_are_the_pooled_data_sets(pooled: Pooled) -> None:
    record = measured(terms(**NO_NOISE))
    assert record.metrics is not None
    assert record.curves is not None
    assert record.metrics["accuracy"].value == pytest.approx(
        accuracy_score(pooled.labels, pooled.scores > 0.5), abs=1e-6
    )
    # The sites' sums travel in steps of a quarter, rounded at random.
    assert record.metrics["error"].value == pytest.approx(((pooled.scores - pooled.labels) ** 2).mean(), abs=0.003)
    curve = record.curves["malignant"]
    for side, counts in ((0, curve.negatives), (1, curve.positives)):
        expected, _ = np.histogram(pooled.scores[pooled.labels == side].astype(float), BINS, (0, 1))
        np.testing.assert_allclose(counts, expected, atol=1e-3)
    assert curve.auroc is not None
    assert curve.auroc.noise == curve.noise == 0
    assert curve.auroc.value == pytest.approx(roc_auc_score(pooled.labels, pooled.scores), abs=0.002)


def test_with_noise_the_figures_say_how_far_they_are_off(pooled: Pooled) -> None:
    record = measured(terms(noise={"noise_multiplier": 1.0}))
    assert record.metrics is not None
    accuracy, area = record.metrics["accuracy"], record.figure("malignant")
    assert area is not None
    for found, exact in (
        (accuracy, accuracy_score(pooled.labels, pooled.scores > 0.5)),
        (area, roc_auc_score(pooled.labels, pooled.scores)),
    ):
        assert 0 < found.noise < 0.5
        assert abs(found.value - exact) < 5 * found.noise
    # Three sites add noise of √3 each: two metrics and one histogram, at noise multiplier 1.
    assert record.curves is not None
    assert record.curves["malignant"].noise == pytest.approx(3.0)


def test_a_record_comes_back_from_the_state_file() -> None:
    record = measured(terms(noise={"noise_multiplier": 1.0}))
    assert read_history(json.dumps([record.as_json()])) == (record,)
    bare = dataclasses.replace(record, metrics=None, curves=None)
    assert read_history(json.dumps([bare.as_json()])) == (bare,)


def test_rounds_that_were_stored_before_there_were_curves_are_read() -> None:
    measured, unmeasured = read_history(
        '[{"round": 1, "metrics": {"accuracy": 0.8125}, "site_seconds": 0.5, "sum_seconds": 0.25},'
        ' {"round": 2, "metrics": null, "site_seconds": 0.5, "sum_seconds": 0.25}]'
    )
    assert measured.figure("accuracy") == Estimate(value=0.8125, noise=None)
    assert str(measured.figure("accuracy")) == "0.812 ± ?"
    assert (measured.curves, unmeasured.metrics, unmeasured.curves) == ({}, None, None)


def test_histograms_are_charged_as_the_one_mechanism_of_the_measurement() -> None:
    """More figures under one noise multiplier are more noise on each, and the same charge."""
    with_scores, without = terms(), terms(noise={"histograms": []})
    assert with_scores.evaluation.noise_deviation > without.evaluation.noise_deviation
    assert round_mechanisms(with_scores, 1) == round_mechanisms(without, 1)
    assert request_cost(with_scores, 8) == request_cost(without, 8)
