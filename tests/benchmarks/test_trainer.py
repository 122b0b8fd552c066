"""The trainer's benchmark times only what computes the same sum, pairs figures by round, and names what failed."""

import json
import sys

import pytest
import torch

from tests.benchmarks import bench_trainer
from tests.benchmarks.bench_trainer import OURS, PLAIN, PREFIX, SIDES, add_figures, measure_trainer_row
from tests.benchmarks.table import ROWS, Measured, as_json
from tests.benchmarks.test_table import cells, printed
from tests.benchmarks.trainer_models import MODELS, Model
from tests.benchmarks.trainer_ours import cloister
from tests.benchmarks.trainer_peers import ghost, hooks, one_by_one, plain
from tests.benchmarks.trainer_row import require_agreement, seconds

SMALL = Model(MODELS["mlp"].plan, MODELS["mlp"].record, batch=5)
PAIRS = Model(MODELS["recommender"].plan, MODELS["recommender"].record, batch=3)
MLP = next(row for row in ROWS if row.key == "trainer-mlp")
TIMES = {
    PLAIN: [0.1, 0.2, 0.1],
    OURS: [0.2, 0.6, 0.5],
    "Opacus hooks": [0.6, 1.0, 0.4],
    "Opacus ghost": [0.4, 0.8, 0.4],
}


def test_every_row_has_its_model():
    assert {row.key for row in ROWS if row.key.startswith(PREFIX)} == {f"{PREFIX}{name}" for name in MODELS}


@pytest.mark.parametrize("model", [SMALL, PAIRS], ids=["perceptron", "tables"])
@pytest.mark.parametrize("side", [cloister, hooks, ghost])
def test_each_side_gives_the_sum_of_shortened_gradients_at_every_call(side, model):
    step, expected = side(model), one_by_one(model)
    for _ in range(2):
        require_agreement(side.__name__, step(), expected, 1e-4)


def test_a_sum_that_was_not_shortened_or_is_of_other_parameters_is_not_timed():
    expected = one_by_one(SMALL)
    summed = {name: SMALL.batch * value for name, value in plain(SMALL)().items()}
    with pytest.raises(ValueError, match="plain's clipped sum is off by"):
        require_agreement("plain", summed, expected, 1e-3)
    with pytest.raises(ValueError, match=r"other parameters: \['0.bias'\]"):
        require_agreement(
            "plain", {name: value for name, value in expected.items() if name != "0.bias"}, expected, 1e-3
        )
    with pytest.raises(ValueError, match="off by nan"):
        require_agreement("plain", {name: value * torch.nan for name, value in expected.items()}, expected, 1e-3)


def test_every_side_is_timed_in_every_round():
    found = seconds(SMALL, 2)
    assert {name: len(samples) for name, samples in found.items()} == dict.fromkeys(SIDES, 2)
    assert min(min(samples) for samples in found.values()) > 0


def test_ratios_are_taken_round_by_round_and_memory_stands_beside():
    measured = Measured()
    add_figures(MLP.key, TIMES, {side: 10**6 * place for place, side in enumerate(SIDES)}, measured)
    assert measured.ours[MLP.key] == pytest.approx([2, 3, 5])
    text = printed([MLP], measured)
    assert cells(text, MLP.title)[1:4] == ["3 × plain", "≤ 2.5 × plain", "no"]
    assert "Opacus hooks: 5 × plain (measured), 1.67×" in text
    assert "Opacus ghost: 4 × plain (measured), 1.33×" in text
    assert "Cloister MB 1" in text
    assert "plain ms 100" in text
    (entry,) = as_json([MLP], measured, {})["rows"]
    assert entry["notes"]["seconds"] == TIMES
    assert json.loads(json.dumps(entry)) == entry


def test_a_row_that_cannot_run_says_why_and_has_no_figure(monkeypatch):
    complaint = "print('warned', file=sys.stderr); raise ValueError('Cloister has no such operation')"
    monkeypatch.setattr(bench_trainer, "_COMMAND", (sys.executable, "-c", f"import sys; {complaint}"))
    measured = Measured()
    measure_trainer_row(MLP.key, 1, measured)
    assert measured.missing == {MLP.key: "not measured: ValueError: Cloister has no such operation"}
    assert not measured.ours
