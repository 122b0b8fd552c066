"""Local training, step by step against an independent reference; its noise, its sampling and its sensitivity."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from datasites.training import data as data_module
from datasites.training import trainer
from datasites.training.choice import TrainedLoss
from datasites.training.clipping import SHARE
from datasites.training.data import UnitData
from datasites.training.opacus_optimizer import OPACUS
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from policies.terms import Training
from tests.clipped_sums import trained_loss
from tests.plain_steps import PLAIN_STEPS

NEVER = 1e-7
START = torch.tensor([0.1, -0.2, 0.3, 0.4])  # bias, then weight: by name


def settings(**changes: float) -> Training:
    values = {
        "strategy": "fedavg",
        "rounds": 1,
        "local_steps": 1,
        "retries": 0,
        "sampling_rate": 0.5,
        "noise_multiplier": 1.5,
        "clipping_norm": 0.6,
        "learning_rate": 0.25,
        **PLAIN_STEPS,
    }
    return Training.model_validate({**values, **changes})


class Scripted(SecretStream):
    """A stream whose draws are recorded before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.coins: list[NDArray[np.bool_]] = []
        self.noise: list[NDArray[np.float64]] = []

    def bernoulli(self, count: int, probability: float) -> NDArray[np.bool_]:
        self.coins.append(super().bernoulli(count, probability))
        return self.coins[-1]

    def normals(self, count: int) -> NDArray[np.float64]:
        self.noise.append(super().normals(count))
        return self.noise[-1]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[Scripted]:
    made: list[Scripted] = []

    def make() -> Scripted:
        made.append(Scripted())
        return made[-1]

    monkeypatch.setattr(trainer, "SecretStream", make)
    return made


def reference(data: UnitData, training: Training, nominal: int, streams: list[Scripted]) -> NDArray[np.float64]:
    """DP-SGD on logistic regression in plain numpy, float64, one record after the other."""
    noise = iter([draw for stream in streams for draw in stream.noise])
    coins = iter([draw for stream in streams for draw in stream.coins])
    model = START.double().numpy().copy()
    for _ in range(training.local_steps):
        total = np.zeros(4)
        for unit in np.nonzero(next(coins))[0]:
            gradient = np.zeros(4)
            for x, y, present in zip(data.features[unit], data.target[unit], data.mask[unit], strict=True):
                if present:
                    row = np.array([1.0, *x.double().numpy()])
                    gradient += (1 / (1 + np.exp(-row @ model)) - float(y)) * row
            total += gradient * min(1.0, SHARE * training.clipping_norm / np.linalg.norm(gradient))
        drawn = np.concatenate([next(noise), next(noise)])
        total += training.noise_multiplier * training.clipping_norm * drawn
        model -= training.learning_rate * total / (training.sampling_rate * nominal)
    return model - START.double().numpy()


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_every_step_agrees_with_the_reference(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], streams: list[Scripted], chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data, training = draw_units(24), settings(local_steps=6)
    monkeypatch.setattr(data_module, "_CHUNK_BYTES", chunk * data.unit_bytes)
    fresh = trained_loss(logistic.program, {})  # what it has recorded it keeps
    change = local_training(fresh, START, data, training, nominal_units=20, round_number=1)
    assert change.dtype == torch.float64
    np.testing.assert_allclose(change.numpy(), reference(data, training, 20, streams), atol=2e-5)
    assert {len(stream.coins) for stream in streams} == {0, 6}  # sampling and noise never share a stream


def test_without_noise_a_step_is_the_clipped_sum_itself(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], streams: list[Scripted]
) -> None:
    data, training = draw_units(24), settings(sampling_rate=1.0, noise_multiplier=0.0)
    first, again = (local_training(logistic, START, data, training, 20, 1) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=1e-7)  # units come in an order drawn by lot
    np.testing.assert_allclose(first.numpy(), reference(data, training, 20, streams), atol=2e-5)


def test_the_noise_has_the_scale_that_is_charged(logistic: TrainedLoss) -> None:
    nobody = UnitData((torch.zeros(0, 1, 3), torch.zeros(0, 1)), torch.zeros(0, 1, dtype=torch.bool))
    training = settings(noise_multiplier=2.0, clipping_norm=3.0, learning_rate=1.0, sampling_rate=0.1)
    changes = np.concatenate([local_training(logistic, START, nobody, training, 100, 1).numpy() for _ in range(400)])
    deviation = 2.0 * 3.0 / (0.1 * 100)
    assert stats.kstest(changes / deviation, "norm").pvalue > NEVER
    square = np.sum((changes / deviation) ** 2)
    assert min(stats.chi2.sf(square, len(changes)), stats.chi2.cdf(square, len(changes))) > NEVER


def test_every_step_is_noised_even_if_nobody_was_sampled(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], streams: list[Scripted]
) -> None:
    local_training(logistic, START, draw_units(5), settings(local_steps=9, sampling_rate=1e-6), 1000, 1)
    assert sum(draw.sum() for stream in streams for draw in stream.coins) == 0
    assert sum(len(draw) for stream in streams for draw in stream.noise) == 9 * 4


def test_the_divisor_does_not_depend_on_the_private_number_of_units(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    one, twin = draw_units(1), draw_units(1)
    twins = UnitData(tuple(map(torch.cat, zip(one.record, twin.record, strict=True))), torch.cat([one.mask, twin.mask]))
    training = settings(sampling_rate=1.0)
    once = local_training(logistic, START, one, training, 10, 1)
    twice = local_training(logistic, START, twins, training, 10, 1)
    torch.testing.assert_close(twice, 2 * once)


def test_removing_any_unit_moves_a_step_by_at_most_the_clipping_norm(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretStream, "normals", lambda self, count: np.zeros(count))
    data = draw_units(12)
    data.features.mul_(1e4)
    training = settings(sampling_rate=1.0, learning_rate=1.0, clipping_norm=0.6)

    def clipped_sum(units: list[int]) -> torch.Tensor:
        some = UnitData((data.features[units], data.target[units]), data.mask[units])
        return 12 * local_training(logistic, torch.zeros(4), some, training, 12, 1).double()

    everybody = clipped_sum(list(range(12)))
    moves = [float((everybody - clipped_sum([u for u in range(12) if u != gone])).norm()) for gone in range(12)]
    assert max(moves) <= 0.6 * (1 + 1e-5)
    assert max(moves) > 0.5


def test_a_global_model_without_finite_gradients_gives_a_finite_change(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData]
) -> None:
    change = local_training(logistic, torch.full((4,), 3e38), draw_units(10), settings(), 10, 1)
    assert torch.isfinite(change).all()


def test_opacus_own_noise_is_never_drawn(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("torch's seedable generator was asked for noise")

    monkeypatch.setattr(OPACUS, "_generate_noise", forbidden)
    monkeypatch.setattr(torch, "normal", forbidden)
    local_training(logistic, START, draw_units(10), settings(), 10, 1)
