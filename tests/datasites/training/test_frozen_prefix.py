"""A frozen body is computed once a record: as often as there are places, each record on its own, to the same result."""

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from datasites.catalog.capacity import capacity
from datasites.tensor_programs import operations
from datasites.training.cached_units import CachedUnits
from datasites.training.data import UnitData, padded_chunks
from datasites.training.evaluation import local_evaluation
from datasites.training.forward import Forward
from datasites.training.study import Study, prepare_study
from datasites.training.trainer import local_training
from tests import frozen_study

MEMORY = 2**24
ROOM = 2**30
ZEROS = torch.zeros(frozen_study.GIVEN)


@pytest.fixture
def descriptor() -> Iterator[int]:
    opened = os.memfd_create("cache")
    yield opened
    os.close(opened)


def people(units: int, seed: int = 1) -> UnitData:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn((units, 2, 3), generator=generator)
    mask = torch.rand((units, 2), generator=generator) < 0.7
    return UnitData((features, (features[..., 0] > 0).float()), mask)


def study(cache_bytes: int = ROOM) -> Study:
    return prepare_study(frozen_study.study(), frozen_study.parameters(), MEMORY, cache_bytes)


def cached(study: Study, data: UnitData, descriptor: int) -> CachedUnits:
    assert study.training_prefix is not None
    return CachedUnits(data, study.training_prefix, descriptor, 0)


def test_training_and_metrics_are_the_same_with_and_without_a_cache(descriptor: int) -> None:
    plain, split = study(0), study()
    assert (plain.training_prefix, plain.holdout_prefix) == (None, None)
    assert split.training_prefix is not None
    assert split.holdout_prefix is not None
    data = people(60)
    training = cached(split, data, descriptor)
    holdout = CachedUnits(data, split.holdout_prefix, descriptor, training.end)
    one = local_training(plain.loss, ZEROS, data, plain.training, 60, 1)
    other = local_training(split.loss, ZEROS, training, split.training, 60, 1)
    assert one.abs().max() > 0.01
    torch.testing.assert_close(other, one, rtol=0, atol=1e-6)
    measured = [
        local_evaluation(it.metrics, one.float(), units, it.evaluation, 60)
        for it, units in ((plain, data), (split, holdout))
    ]
    np.testing.assert_allclose(*measured, rtol=0, atol=1e-5)


def test_each_of_several_workers_has_room_for_its_own_part_only() -> None:
    both = prepare_study(frozen_study.study(), frozen_study.parameters(), MEMORY, ROOM, workers=2)
    assert both.training_prefix is not None
    assert both.training_prefix.places == capacity(30, 1.0)
    assert both.cache_bytes < study().cache_bytes


def test_the_body_runs_once_for_each_place_and_never_in_a_step(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []
    true_tanh = operations.OPERATIONS["tanh"]
    monkeypatch.setitem(operations.OPERATIONS, "tanh", lambda x: (recorded.append(1), true_tanh(x))[1])  # type: ignore[arg-type]
    split, layers, records = study(), 2, 2
    assert split.training_prefix is not None
    computed: list[int] = []
    true_call = Forward.__call__

    def call(self: Forward, values: Mapping[str, Tensor], given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        computed.append(len(given[0]))
        return true_call(self, values, given)

    monkeypatch.setattr(Forward, "__call__", call)
    recorded.clear()
    training = cached(split, people(60), descriptor)
    assert capacity(60, 1.0) * records <= sum(computed) < (capacity(60, 1.0) + computed[0]) * records
    assert len(recorded) == layers
    for _ in range(3):
        local_training(split.loss, ZEROS, training, split.training, 60, 1)
    assert len(recorded) == layers


def test_as_much_is_computed_and_written_for_one_unit_as_for_all_places(descriptor: int) -> None:
    split = study()
    sizes = set()
    for units in (0, 1, 40, capacity(60, 1.0)):
        os.ftruncate(descriptor, 0)
        sizes.add(cached(split, people(units), descriptor).end)
    assert sizes == {split.training_prefix.cache_bytes} if split.training_prefix else False
    more = capacity(60, 1.0) + 3
    training = cached(split, people(more), descriptor)
    assert len(training) == more
    torch.testing.assert_close(training.chunk(torch.tensor([more - 1]), 1).record[0], people(more).target[-1:])


def test_one_records_values_do_not_depend_on_any_other(descriptor: int) -> None:
    split, data = study(), people(50)
    hostile = UnitData((data.features.clone(), data.target.clone()), data.mask)
    hostile.features[[3, 20]] = torch.nan
    hostile.features[4, 0], hostile.target[7] = torch.inf, torch.nan
    chunks = []
    for units in (data, hostile):
        os.ftruncate(descriptor, 0)
        chunks.append(cached(split, units, descriptor).chunk(torch.arange(50), 50).record)
    others = [number for number in range(50) if number not in (3, 4, 7, 20)]
    for one, other in zip(*chunks, strict=True):
        assert torch.equal(one[others], other[others])
    assert torch.equal(chunks[0][1][4, 1], chunks[1][1][4, 1])


def test_as_many_rows_are_read_whoever_was_sampled(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    split = study()
    training = cached(split, people(60), descriptor)
    read: list[int] = []
    true_read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, *given: (read.append(given[1]), true_read(file, *given))[1])
    counts = []
    for units in (0, 1, 16):
        list(padded_chunks(training, torch.arange(units), 16, 5))
        counts.append(len(read))
        assert units or len(set(read)) > 5  # padding is read from all over the file
        read.clear()
    assert counts == [20, 20, 20]


def test_a_cache_larger_than_the_site_allows_is_done_without() -> None:
    split = study()
    assert split.training_prefix is not None
    alone = study(split.training_prefix.cache_bytes)
    assert alone.cache_bytes == split.training_prefix.cache_bytes < split.cache_bytes
    assert alone.holdout_prefix is None
    assert study(split.training_prefix.cache_bytes - 1).training_prefix is None
