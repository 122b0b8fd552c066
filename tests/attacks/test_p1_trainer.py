"""Attacks on P1 through the trainer: what a malicious program, model or record can make it say or reveal."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from datasites.execution.trainer_process import TrainerProcess
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from tests.attacks.crafted_study import (
    MEMORY,
    MODEL,
    SQUARE,
    Nodes,
    collected,
    contribution,
    people,
    prepared,
    study,
    training,
    weights,
)
from tests.clipped_sums import summed
from tests.record_forms import data_size
from tests.unit_arrays import UnitArrays, opened


@pytest.mark.parametrize("signal", ["nan", "inf"])
def test_a_program_cannot_turn_the_release_into_nan_when_a_certain_person_is_there(
    signal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN signalling: 0/0 or 1/0 exactly for the record whose first feature is 0.5."""
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    nodes: Nodes = [
        ("select", [1], {"dim": 0, "index": 0}),
        ("full", [], {"shape": [], "value": 0.5, "dtype": "float32"}),
        ("sub", [3, 4], {}),
        ("select", [0], {"dim": 0, "index": 0}),
        ("select", [6], {"dim": 0, "index": 0}),
        ("div", [7, 5], {}) if signal == "inf" else ("mul", [7, 5], {}),
        ("div", [8, 5], {}) if signal == "nan" else ("mul", [8, 8], {}),
    ]
    with_target, data = prepared(nodes), people(8)
    data.features[3, 0, 0] = 0.5
    change = local_training(with_target, torch.ones(3), data, training(), 8, 1)
    assert torch.isfinite(change).all()
    rest = [0, 1, 2, 4, 5, 6, 7]
    without = UnitData((data.features[rest], data.target[rest]), data.mask[rest])
    assert (
        float((change - local_training(with_target, torch.ones(3), without, training(), 8, 1)).norm()) <= 1 / 8 + 1e-6
    )


def test_a_program_cannot_multiply_one_persons_share_beyond_the_bound() -> None:
    """A loss scaled by 10³⁰ for one record: its share of the sum stays at the clipping norm."""
    nodes: Nodes = [
        *SQUARE,
        ("full", [], {"shape": [], "value": 1e30, "dtype": "float32"}),
        ("mul", [5, 6], {}),
    ]
    lengths = contribution(prepared(nodes), people(8), torch.ones(1, 3)).double().norm(dim=1)
    assert float(lengths.max()) <= 1.0


def test_a_gradient_of_opposed_parts_cannot_hide_its_length() -> None:
    """Ghost-norm cancellation: huge parts of opposite sign, of which Gram matrices in float32 see a norm of 0."""
    wide = 4096
    nodes: Nodes = [
        ("linear", [1, 0], {}),
        ("select", [3], {"dim": 0, "index": 0}),
        ("full", [], {"shape": [], "value": 6e4, "dtype": "float32"}),
        ("mul", [4, 5], {}),
    ]
    data = people(4, wide)
    data.features[:, :, ::2] = 1.0
    data.features[:, :, 1::2] = -1.0
    lengths = contribution(prepared(nodes, features=wide), data, torch.ones(1, wide)).double().norm(dim=1)
    assert float(lengths.max()) <= 1.0
    assert float(lengths.min()) > 0.99


def test_one_persons_gradient_does_not_depend_on_who_else_is_in_the_batch() -> None:
    """No statistic over the batch can be written down: a program meets one record."""
    nodes: Nodes = [
        *SQUARE,
        ("softmax", [1], {"dim": 0}),
        ("mean", [6], {"dims": [], "keep": False}),
        ("mul", [5, 7], {}),
    ]
    loss, data = prepared(nodes), people(16)
    together = contribution(loss, data, torch.ones(1, 3))
    for unit in range(16):
        alone = UnitData((data.features[[unit]], data.target[[unit]]), data.mask[[unit]])
        torch.testing.assert_close(contribution(loss, alone, torch.ones(1, 3))[0], together[unit])


@pytest.mark.parametrize("target", [-1, 3, 10**9, -(2**62)])
def test_a_record_cannot_raise_by_an_index_out_of_range(target: int) -> None:
    nodes: Nodes = [
        ("mul", [0, 0], {}),
        ("reshape", [3], {"shape": [3]}),
        ("cross_entropy", [4, 2], {"reduction": "mean", "label_smoothing": 0.0}),
    ]
    data = people(2)
    strange = UnitData((data.features, torch.tensor([[0], [target]])), data.mask)
    assert torch.isfinite(contribution(prepared(nodes, target="int64"), strange, torch.ones(1, 3))).all()


def test_the_trainer_flushes_denormal_numbers_to_zero(tmp_path: Path) -> None:
    """A record of denormals made products up to a hundred times slower, so time would tell who is there.

    Blown up by 10³⁸, a denormal that was not flushed would give every unit a gradient of full length.
    """
    nodes: Nodes = [
        ("full", [], {"shape": [3], "value": 1e38, "dtype": "float32"}),
        ("mul", [1, 3], {}),
        ("linear", [4, 0], {}),
        ("select", [5], {"dim": 0, "index": 0}),
    ]
    exact = study(nodes).model_copy(
        update={"training": training(noise_multiplier=0.1, clipping_norm=1e-3), "size": data_size(1, 1)}
    )

    def update(value: float) -> float:
        everybody = UnitArrays(
            np.full((400, 1, 3), value, np.float32), np.zeros((400, 1), np.float32), np.ones((400, 1), bool)
        )
        with (
            opened(tmp_path, everybody, everybody) as snapshot,
            TrainerProcess(memory_bytes=MEMORY, start_seconds=60) as trainer,
        ):
            trainer.prepare(exact, (weights(),), len(weights()), seconds=30)
            trainer.load(snapshot, None, seconds=30)
            result = collected(trainer.round(MODEL, number=1, trains=True, evaluates=False, seconds=30))
        return float(np.linalg.norm(result))

    assert update(1e-37) > 0.3  # smallest normal numbers are 1.2·10⁻³⁸: 400 units × 10⁻³
    assert update(1e-40) < 0.01


@pytest.mark.parametrize("secret", ["noise", "sampling"])
def test_no_seed_makes_two_rounds_alike(secret: str) -> None:
    """All else is the same every time: without noise and with everybody sampled, rounds are equal to the last bit."""
    loss, data = prepared(SQUARE), people(64)
    only = {
        "noise_multiplier": 1.0 if secret == "noise" else 0.0,
        "sampling_rate": 0.5 if secret == "sampling" else 1.0,
    }

    def round_after_seeding() -> Tensor:
        torch.manual_seed(0)
        np.random.seed(0)
        return local_training(loss, torch.zeros(3), data, training(**only), 64, 1)

    assert not torch.equal(round_after_seeding(), round_after_seeding())


def fastest(loss: TrainedLoss, data: UnitData) -> float:
    best, sums = float("inf"), loss.fitted(len(data), data, 1.0)
    for _ in range(30):
        start = time.perf_counter()
        summed(sums, {"weight": torch.ones(1, 3)}, data)
        best = min(best, time.perf_counter() - start)
    return best


def test_the_time_does_not_tell_how_many_were_sampled() -> None:
    """The same shapes are computed for nobody and for a full batch; times agree within the machine's noise."""
    loss, data = prepared(SQUARE), people(512)
    empty = UnitData((torch.zeros_like(data.features), torch.zeros_like(data.target)), torch.zeros_like(data.mask))
    full_time, empty_time = fastest(loss, data), fastest(loss, empty)
    assert 0.5 < full_time / empty_time < 2
