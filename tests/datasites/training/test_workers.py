"""Workers that share a training: together they take the steps that one takes alone, with one noise for all."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from datasites.training import evaluation, trainer
from datasites.training.data import UnitData
from datasites.training.evaluation import local_evaluation
from datasites.training.prepared import PreparedProgram
from datasites.training.randomness import SecretStream
from datasites.training.trainer import local_training
from datasites.training.workers import ALONE, Follower, Leader, Workers, workers_of
from policies.errors import InvalidInputError, UnavailableError
from policies.terms import Evaluation, Training
from policies.training_choices import Adam, AdamW, Sgd
from tests.attacks.crafted_study import training

NEVER = 1e-7
START = torch.tensor([0.1, -0.2, 0.3, 0.4])
NOMINAL = 24


def linked(others: int) -> list[Workers]:
    """A leader and its followers; their links stay open with them."""
    pairs = [socket.socketpair() for _ in range(others)]
    leader = Leader(tuple(own.detach() for own, _ in pairs))
    return [leader, *(Follower(end.detach(), others + 1) for _, end in pairs)]


def parts(data: UnitData, count: int) -> list[UnitData]:
    shares = [torch.arange(len(data)) % count == rank for rank in range(count)]
    return [UnitData(tuple(value[mine] for value in data.record), data.mask[mine]) for mine in shares]


def together(
    loss: PreparedProgram, shards: Sequence[UnitData], asked: Training, workers: list[Workers]
) -> list[Tensor]:
    with ThreadPoolExecutor(len(workers)) as pool:
        started = [
            pool.submit(local_training, loss, START, shard, asked, NOMINAL, 1, worker)
            for shard, worker in zip(shards, workers, strict=True)
        ]
        return [it.result(timeout=60) for it in started]


class Known(SecretStream):
    """Noise that is known beforehand, and counted; coins stay secret."""

    draws: ClassVar[list[int]] = []

    def normals(self, count: int) -> NDArray[np.float64]:
        self.draws.append(count)
        return np.random.default_rng(len(self.draws)).normal(size=count)


@pytest.fixture
def known_noise(monkeypatch: pytest.MonkeyPatch) -> type[Known]:
    monkeypatch.setattr(trainer, "SecretStream", Known)
    monkeypatch.setattr(Known, "draws", [])
    return Known


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(momentum=0.9),
        Adam(decays=(0.9, 0.99), epsilon=1e-6),
        AdamW(decays=(0.9, 0.99), epsilon=1e-6, weight_decay=0.1),
    ],
    ids=lambda it: it.type,
)
def test_workers_with_parts_take_the_steps_of_one_with_all_and_noise_is_added_once(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData], known_noise: type[Known], optimizer: object
) -> None:
    asked = training(local_steps=3, clipping_norm=0.6, learning_rate=0.25, optimizer=optimizer)
    data = draw_units(23)
    alone = local_training(logistic, START, data, asked, NOMINAL, 1)
    draws, known_noise.draws[:] = list(known_noise.draws), []
    changes = together(logistic, parts(data, 3), asked, linked(2))
    assert known_noise.draws == draws == [1, 3] * 3
    torch.testing.assert_close(changes[0], alone, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(change, changes[0]) for change in changes)


def test_the_noise_of_all_workers_together_has_the_scale_that_is_charged(logistic: PreparedProgram) -> None:
    nobody = UnitData((torch.zeros(0, 1, 3), torch.zeros(0, 1)), torch.zeros(0, 1, dtype=torch.bool))
    asked = training(noise_multiplier=2.0, clipping_norm=3.0, sampling_rate=0.5)
    workers = linked(1)
    changes = [together(logistic, [nobody] * 2, asked, workers)[0].numpy() for _ in range(60)]
    deviation = 2.0 * 3.0 / (0.5 * NOMINAL)
    square = np.sum((np.concatenate(changes) / deviation) ** 2)
    assert min(stats.chi2.sf(square, 240), stats.chi2.cdf(square, 240)) > NEVER


def test_each_unit_is_sampled_by_its_own_worker(logistic: PreparedProgram, draw_units: Callable[..., UnitData]) -> None:
    """Without noise and with one unit a worker, a step is one of the four sums of those who were drawn."""
    data = draw_units(2)
    asked = training(noise_multiplier=0.0, sampling_rate=0.5, clipping_norm=0.1)
    certain = asked.model_copy(update={"sampling_rate": 1.0})
    one, two = (local_training(logistic, START, part, certain, NOMINAL // 2, 1) for part in parts(data, 2))
    workers, possible = linked(1), {"none": 0 * one, "one": one, "two": two, "both": one + two}
    seen = set()
    for _ in range(40):
        change = together(logistic, parts(data, 2), asked, workers)[0]
        seen.add(next(name for name, it in possible.items() if torch.allclose(change, it, atol=1e-6)))
    assert seen == set(possible)


class Leaving:
    """A worker that is gone when its second step begins."""

    leads = False

    def __init__(self, link: int) -> None:
        self._own, self._socket, self._steps = Follower(link, 2), socket.socket(fileno=link), 0
        self.count = 2

    def collect(self, sums: Sequence[Tensor]) -> None:
        if self._steps == 1:
            self._socket.close()
            raise UnavailableError("lost")
        self._steps += 1
        self._own.collect(sums)

    def follow(self, values: Sequence[Tensor]) -> None:
        self._own.follow(values)


def test_a_lost_worker_ends_the_round_and_no_step_is_taken_without_it(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData], known_noise: type[Known]
) -> None:
    leader, follower = linked(1)
    assert isinstance(follower, Follower)
    data, asked = parts(draw_units(8), 2), training(local_steps=3)

    def leave() -> None:
        with pytest.raises(UnavailableError):
            local_training(logistic, START, data[1], asked, NOMINAL, 1, Leaving(follower.link))

    lost = threading.Thread(target=leave)
    lost.start()
    with pytest.raises(UnavailableError):
        local_training(logistic, START, data[0], asked, NOMINAL, 1, leader)
    lost.join(timeout=60)
    assert known_noise.draws == [1, 3]  # of the step before


def test_a_lost_leader_ends_the_round_for_the_others(
    logistic: PreparedProgram, draw_units: Callable[..., UnitData], known_noise: type[Known]
) -> None:
    own, other = socket.socketpair()
    own.close()
    with other, pytest.raises(UnavailableError):
        local_training(logistic, START, draw_units(4), training(), NOMINAL, 1, Follower(other.fileno(), 2))
    assert known_noise.draws == []


def test_a_worker_of_another_model_is_refused() -> None:
    leader, follower = linked(1)
    for size, reason in ((3, "all must train the same"), (5, "announces")):
        follower.collect([torch.zeros(size)])
        with pytest.raises(InvalidInputError, match=reason):
            leader.collect([torch.zeros(4)])
        leader, follower = linked(1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_worker_whose_sums_are_no_numbers_is_refused(value: float) -> None:
    """Of NaN and noise comes NaN, and of that no update: it would be a step without its noise."""
    leader, follower = linked(1)
    follower.collect([torch.zeros(4), torch.tensor([0.0, value])])
    with pytest.raises(InvalidInputError, match="no numbers"):
        leader.collect([torch.zeros(4), torch.zeros(2)])


def test_metrics_are_summed_over_all_workers_and_noised_once(
    two_metrics: PreparedProgram, draw_units: Callable[..., UnitData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "SecretStream", Known)
    monkeypatch.setattr(Known, "draws", [])
    data = draw_units(23)
    asked = Evaluation(models=(0,), metrics=("target", "first"), histograms=(), noise_multiplier=2.0)
    alone = local_evaluation(two_metrics, START, data, asked, NOMINAL)
    Known.draws.clear()
    workers = linked(2)
    with ThreadPoolExecutor(3) as pool:
        started = [
            pool.submit(local_evaluation, two_metrics, START, part, asked, NOMINAL, worker)
            for part, worker in zip(parts(data, 3), workers, strict=True)
        ]
        sums = [it.result(timeout=60) for it in started]
    np.testing.assert_allclose(sums[0], alone, rtol=1e-9)
    assert Known.draws == [4]
    assert not sums[1].any()
    assert not sums[2].any()


def test_the_leader_has_a_link_to_each_and_the_others_have_one() -> None:
    assert workers_of(0, 1, ()) is ALONE
    assert workers_of(0, 3, (7, 8)) == Leader((7, 8))
    assert workers_of(2, 3, (7,)) == Follower(7, 3)
    for rank, count, links in ((0, 2, ()), (1, 2, (7, 8)), (2, 2, (7,)), (-1, 2, (7,)), (0, 1, (7,))):
        with pytest.raises(InvalidInputError, match="links"):
            workers_of(rank, count, links)
