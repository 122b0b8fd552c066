"""Score histograms on holdout units: where records are counted, how much a unit moves them, and their noise."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.histograms import histogram
from datasites.training.prepared import PreparedProgram, prepare_program
from datasites.training.randomness import SecretStream
from policies.terms import Evaluation, Histogram
from tests.datasites.training.conftest import program

MODEL = torch.zeros(4)
BINS = 4
TERMS = Evaluation(
    models=(0,),
    metrics=("third",),
    histograms=(Histogram(name="ill", bins=BINS), Histogram(name="well", bins=2)),
    noise_multiplier=2.0,
)
HOSTILE = (nan, inf, -inf, 3e38, -3e38, 1e-45, -0.0, 0.0, 0.2499999, 0.25, 0.5, 0.999999, 1.0, 1.0000001, 7.0)


@pytest.fixture
def scored() -> PreparedProgram:
    """Of `ill`, the first feature is the score and the second the label; of `well`, the second and the third."""
    nodes: list[tuple[str, list[int], dict[str, Any]]] = [
        ("select", [2], {"dim": 0, "index": index}) for index in range(3)
    ]
    metrics = program(nodes, dict(zip(TERMS.outputs, (6, 4, 5, 5, 6), strict=True)), "float32")
    return prepare_program(metrics, kind="metrics", values={}, memory_bytes=2**24)


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))


def units(records: list[list[tuple[float, float, float]]], longest: int) -> UnitData:
    features = torch.full((len(records), longest, 3), nan)
    mask = torch.zeros(len(records), longest, dtype=torch.bool)
    for number, of_unit in enumerate(records):
        features[number, : len(of_unit)] = torch.tensor(of_unit).reshape(-1, 3)
        mask[number, : len(of_unit)] = True
    return UnitData((features, torch.zeros(mask.shape)), mask)


def measured(metrics: PreparedProgram, data: UnitData) -> NDArray[np.float64]:
    return local_evaluation(metrics, MODEL, data, TERMS, nominal_units=12)


@pytest.mark.usefixtures("without_noise")
def test_each_unit_adds_the_mean_of_its_records_places(scored: PreparedProgram) -> None:
    data = units([[(0.1, 0.0, 0.0), (0.9, 1.0, 0.0)], [(1.0, 1.0, 0.0)], [(0.3, 0.4, 0.0)] * 3, []], 3)
    good, bad, *counts = measured(scored, data)
    assert (good, bad) == (0.0, 3.0)
    np.testing.assert_allclose(counts[:BINS], [0.5, 1.0, 0.0, 0.0])  # `ill`, labelled 0
    np.testing.assert_allclose(counts[BINS : 2 * BINS], [0.0, 0.0, 0.0, 1.5])  # `ill`, labelled 1
    np.testing.assert_allclose(counts[2 * BINS :], [1.5, 1.5, 0.0, 0.0])  # `well`: scores 0 and 1, 1, 0.4


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_every_unit_counts_once_however_it_is_cut_and_padded(
    scored: PreparedProgram, draw_units: Callable[..., UnitData], chunk: int
) -> None:
    data = draw_units(9)
    data.mask[4] = False
    cut = replace(scored, chunk=chunk)
    counts = measured(cut, data)
    assert counts[:2].sum() == 8.0
    assert counts[2 : 2 + 2 * BINS].sum() == pytest.approx(8.0)
    np.testing.assert_allclose(counts, measured(scored, data))


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("seed", [1, 2])
def test_any_unit_moves_all_sums_together_by_at_most_the_root_of_their_number(
    scored: PreparedProgram, seed: int
) -> None:
    """Each unit is removed in turn, with the values that a crafted program would make of its records."""
    generator = np.random.default_rng(seed)
    values = [generator.choice(HOSTILE, (generator.integers(1, 4), 3)).tolist() for _ in range(12)]
    everybody = measured(scored, units(values, 3))
    assert np.isfinite(everybody).all()
    for gone in range(len(values)):
        move = everybody - measured(scored, units(values[:gone] + values[gone + 1 :], 3))
        assert np.linalg.norm(move) <= sqrt(3) * (1 + 1e-12)
        for start, size in ((2, 2 * BINS), (2 + 2 * BINS, 4)):
            assert (move[start : start + size] >= -1e-12).all()
            assert np.abs(move[start : start + size]).sum() == pytest.approx(1.0)


def test_one_unit_can_reach_the_bound(scored: PreparedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    assert np.linalg.norm(measured(scored, units([[(0.9, 1.0, 1.0)]], 1))) == pytest.approx(sqrt(3))


def test_the_noise_has_the_scale_that_is_charged(scored: PreparedProgram) -> None:
    nobody = units([], 1)
    draws = np.concatenate([measured(scored, nobody) for _ in range(100)])
    assert draws.size == 100 * TERMS.counts
    scaled = draws / (2.0 * sqrt(3))
    assert stats.kstest(scaled, "norm").pvalue > 1e-7
    assert 0.9 < scaled.std() < 1.1


@pytest.mark.parametrize(("score", "place"), [(nan, 0), (inf, 0), (-inf, 0), (-2.0, 0), (0.25, 1), (1.0, 3), (5.0, 3)])
@pytest.mark.parametrize(("label", "side"), [(0.0, 0), (nan, 0), (-inf, 0), (0.49, 0), (0.5, 1), (1.0, 1), (inf, 1)])
def test_every_value_has_one_place(score: float, place: int, label: float, side: int) -> None:
    counts = histogram(torch.tensor([score]), torch.tensor([label]), torch.ones(1).double(), BINS)
    expected = torch.zeros(2, BINS)
    expected[side, place] = 1
    assert torch.equal(counts, expected.double().flatten())


@pytest.mark.parametrize("bins", [2, 37, 1000])
def test_counts_are_numpys(bins: int) -> None:
    generator = torch.Generator().manual_seed(4)
    scores, labels = torch.rand(5000, generator=generator), torch.randint(2, (5000,), generator=generator).float()
    shares = torch.rand(5000, generator=generator).double()
    counts = histogram(scores, labels, shares, bins).reshape(2, bins)
    for side in (0, 1):
        chosen = (labels == side).numpy()
        expected, _ = np.histogram(scores.numpy()[chosen], bins, (0, 1), weights=shares.numpy()[chosen])
        np.testing.assert_allclose(counts[side], expected, atol=1e-9)


def test_the_same_operations_run_whatever_the_scores_are() -> None:
    """One shape of work: no sorting, no counting at an index that a record chose, no choice between branches."""

    def operations(scores: Tensor) -> list[str]:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            histogram(scores, torch.ones(100), torch.ones(100).double(), 50)
        return [event.name for event in profile.events()]

    usual = operations(torch.linspace(0, 1, 100))
    for strange in (torch.full((100,), nan), torch.zeros(100), torch.full((100,), inf)):
        assert operations(strange) == usual
    assert not any(name in ("aten::index_put_", "aten::scatter_add_", "aten::bincount") for name in usual)
