"""Every optimiser and schedule, step by step against independent references, whatever the size of the chunks."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from datasites.training import data as data_module
from datasites.training import trainer
from datasites.training.choice import TrainedLoss
from datasites.training.clipping import SHARE
from datasites.training.data import UnitData
from datasites.training.optimizer import SecretNoiseOptimizer, TrainedParameter
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from policies.terms import Training
from policies.training_choices import Adam, AdamW, Optimizer, Schedule, Sgd
from tests.clipped_sums import trained_loss

Vector = NDArray[np.float64]
Losses = Callable[[int], TrainedLoss]
START = np.array([0.1, -0.2, 0.3, 0.4])  # bias, then weight: by name
_MODEL = torch.from_numpy(START).float()
NOMINAL = 9
OPTIMIZERS = (
    Sgd(momentum=0.0),
    Sgd(momentum=0.9),
    Adam(decays=(0.9, 0.999), epsilon=1e-8),
    AdamW(decays=(0.9, 0.99), epsilon=1e-6, weight_decay=0.1),
)
_DECAYS = st.tuples(st.floats(0.0, 0.95), st.floats(0.6, 0.9999))
_EPSILON = st.floats(1e-8, 1.0)

optimizers = st.one_of(
    st.builds(Sgd, momentum=st.floats(0.0, 0.99)),
    st.builds(Adam, decays=_DECAYS, epsilon=_EPSILON),
    st.builds(AdamW, decays=_DECAYS, epsilon=_EPSILON, weight_decay=st.floats(0.0, 1.0)),
)


@st.composite
def trainings(draw: st.DrawFn) -> Training:
    rounds, local_steps = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    warm_up = draw(st.integers(0, rounds * local_steps - 1))
    kind = draw(st.sampled_from(["constant", "linear", "cosine"]))
    return training(draw(optimizers), Schedule(type=kind, warm_up_steps=warm_up), rounds, local_steps)


def training(optimizer: Optimizer, schedule: Schedule | None = None, rounds: int = 1, local_steps: int = 3) -> Training:
    return Training(
        strategy="fedavg",
        rounds=rounds,
        local_steps=local_steps,
        retries=0,
        sampling_rate=1.0,
        noise_multiplier=1.5,
        clipping_norm=0.6,
        learning_rate=0.2,
        optimizer=optimizer,
        schedule=schedule or Schedule(type="constant", warm_up_steps=0),
    )


class Noise(SecretStream):
    """Everybody is sampled, and the noise is known beforehand: each draw goes on where the last one ended."""

    def __init__(self) -> None:
        super().__init__()
        self._random = np.random.default_rng(3)

    def normals(self, count: int) -> NDArray[np.float64]:
        return self._random.normal(size=count)


@pytest.fixture(autouse=True, scope="module")
def _known_noise() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SecretStream", Noise)
        yield


def learning_rates(training: Training) -> Vector:
    """Of every step of a study: a warm-up that would be 0 in the step before the first, then a way to 0."""
    steps, warm_up = training.rounds * training.local_steps, training.schedule.warm_up_steps
    left = steps - warm_up
    falling = {
        "constant": np.ones(left + 1),
        "linear": np.linspace(1, 0, left + 1),
        "cosine": np.cos(np.linspace(0, np.pi / 2, left + 1)) ** 2,
    }[training.schedule.type]
    return training.learning_rate * np.concatenate([np.linspace(0, 1, warm_up + 2)[1:-1], falling[:-1]])


def noised_mean(data: UnitData, training: Training, model: Vector, noise: Noise) -> Vector:
    """What DP-SGD calls the gradient, of logistic regression: clipped by unit, noised, divided by a public number."""
    total = np.zeros(4)
    for unit in range(len(data)):
        gradient = np.zeros(4)
        for x, y, present in zip(data.features[unit], data.target[unit], data.mask[unit], strict=True):
            if present:
                row = np.array([1.0, *x.double().numpy()])
                gradient += (1 / (1 + np.exp(-row @ model)) - float(y)) * row
        total += gradient * min(1.0, SHARE * training.clipping_norm / np.linalg.norm(gradient))
    drawn = np.concatenate([noise.normals(1), noise.normals(3)])
    return (total + training.noise_multiplier * training.clipping_norm * drawn) / NOMINAL


def reference(data: UnitData, training: Training, round_number: int) -> Vector:
    """A round in float64 by the formulas of the papers, momenta at rest when it begins."""
    model, noise, mean, square = START.copy(), Noise(), np.zeros(4), np.zeros(4)
    first = (round_number - 1) * training.local_steps
    for step, rate in enumerate(learning_rates(training)[first : first + training.local_steps], 1):
        gradient = noised_mean(data, training, model, noise)
        match training.optimizer:
            case Sgd(momentum=momentum):
                mean = momentum * mean + gradient
                model -= rate * mean
            case Adam() | AdamW() as adam:
                one, two = adam.decays
                mean, square = one * mean + (1 - one) * gradient, two * square + (1 - two) * gradient**2
                decay = adam.weight_decay if isinstance(adam, AdamW) else 0.0
                move = (mean / (1 - one**step)) / (np.sqrt(square / (1 - two**step)) + adam.epsilon)
                model -= rate * (move + decay * model)
    return model - START


@pytest.fixture(scope="module")
def losses(logistic: TrainedLoss) -> Losses:
    """One for each size of chunk: a loss keeps what it has recorded."""
    return cache(lambda chunk: trained_loss(logistic.program, {}))


def in_chunks(losses: Losses, chunk: int, units: UnitData, training: Training, round_number: int) -> Tensor:
    """The change of a round, computed for `chunk` units at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_module, "_CHUNK_BYTES", chunk * units.unit_bytes)
        return local_training(losses(chunk), _MODEL, units, training, NOMINAL, round_number)


@given(training=trainings(), chunk=st.sampled_from([5, 1000]), data=st.data())
@limits(max_examples=30, deadline=None)
def test_every_step_agrees_with_the_reference(
    losses: Losses,
    draw_units: Callable[..., UnitData],
    training: Training,
    chunk: int,
    data: st.DataObject,
) -> None:
    units = draw_units(9)
    round_number = data.draw(st.integers(1, training.rounds))
    change = in_chunks(losses, chunk, units, training, round_number)
    np.testing.assert_allclose(change.numpy(), reference(units, training, round_number), atol=5e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda it: it.type)
def test_any_size_of_the_chunks_gives_the_same_steps(
    losses: Losses, draw_units: Callable[..., UnitData], optimizer: Optimizer
) -> None:
    data = draw_units(23)
    whole, *others = (in_chunks(losses, chunk, data, training(optimizer), 1) for chunk in (1000, 3, 10))
    for other in others:
        torch.testing.assert_close(other, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda it: it.type)
def test_momenta_do_not_outlive_a_round(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], optimizer: Optimizer
) -> None:
    """A site that was restarted between two rounds, or computes one again, must release what another one would."""
    data, both = draw_units(9), training(optimizer, rounds=2)
    first, second = (local_training(logistic, _MODEL, data, both, NOMINAL, number) for number in (1, 2))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)  # units come in an order drawn by lot


def _noiseless(parameter: TrainedParameter) -> SecretNoiseOptimizer:
    plain = training(Sgd(momentum=0.0)).model_copy(update={"noise_multiplier": 0.0, "learning_rate": 1.0})
    return SecretNoiseOptimizer([parameter], plain, 1.0, SecretStream())


def test_sums_of_chunks_are_added_in_float64() -> None:
    parameter = TrainedParameter(torch.zeros(2, dtype=torch.float64))
    optimizer = _noiseless(parameter)
    for part in (2.0**25, 1.0, 1.0, 1.0, -(2.0**25)):
        parameter.summed_grad += torch.full((2,), part)
    optimizer.step()
    assert parameter.tolist() == [-3.0, -3.0]


def test_no_sum_is_stepped_with_twice_and_the_next_begins_at_zero() -> None:
    parameter = TrainedParameter(torch.zeros(2, dtype=torch.float64))
    optimizer = _noiseless(parameter)
    parameter.summed_grad += 1
    optimizer.step()
    with pytest.raises(ValueError, match="cleared"):
        optimizer.step()
    optimizer.zero_grad()
    optimizer.step()
    assert parameter.tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda it: it.type)
def test_no_gradient_and_no_model_makes_a_change_that_is_no_number(
    logistic: TrainedLoss, draw_units: Callable[..., UnitData], optimizer: Optimizer
) -> None:
    for model in (torch.full((4,), 3e38), torch.full((4,), -3e38), torch.full((4,), torch.nan)):
        change = local_training(logistic, model, draw_units(9), training(optimizer), NOMINAL, 1)
        assert torch.isfinite(change).all()
