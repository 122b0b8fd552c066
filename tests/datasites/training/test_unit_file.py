"""Units read from a file: the same as from memory, and as many reads whoever was sampled."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from datasites.training import unit_file
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData, padded_chunks
from datasites.training.unit_file import UnitFile, open_units
from tests.clipped_sums import summed
from tests.unit_arrays import UnitArrays, opened


@pytest.fixture
def both(draw_units: Callable[..., UnitData], tmp_path: Path) -> Iterator[tuple[UnitData, UnitFile]]:
    held = draw_units(60)
    data = UnitData((torch.nan_to_num(held.features), torch.nan_to_num(held.target, posinf=0.0)), held.mask)
    arrays = UnitArrays(data.features.numpy(), data.target.numpy(), data.mask.numpy())
    with opened(tmp_path, arrays, UnitArrays(*(np.zeros_like(it[:5]) for it in vars(arrays).values()))) as descriptor:
        yield data, open_units(descriptor)[0]


def test_a_chunk_is_the_same_from_file_and_from_memory(both: tuple[UnitData, UnitFile]) -> None:
    memory, file = both
    assert (len(file), file.unit_bytes) == (len(memory), memory.unit_bytes)
    for units, size in (
        (torch.tensor([3, 5, 59]), 8),
        (torch.tensor([3]), 1),
        (torch.tensor([], dtype=torch.int64), 1),
    ):
        cut = [it.chunk(units, size) for it in (memory, file)]
        for one, other in zip(*((*it.record, it.mask) for it in cut), strict=True):
            assert torch.equal(one, other)


def test_the_same_sample_has_the_same_clipped_sums(both: tuple[UnitData, UnitFile], logistic: TrainedLoss) -> None:
    values = {"bias": torch.zeros(1), "weight": torch.ones(1, 3)}
    units, sums = torch.arange(0, 60, 2), []
    for data in both:
        clipped = logistic.fitted(7, data.chunk(units[:0], 1), 1.0)
        parts = [summed(clipped, values, it)["weight"] for it in padded_chunks(data, units, 40, 7)]
        sums.append(torch.stack(parts).sum(0))
    assert torch.equal(*sums)


def test_as_many_rows_are_read_whoever_was_sampled(
    both: tuple[UnitData, UnitFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    true_read = unit_file.read_exactly
    monkeypatch.setattr(unit_file, "read_exactly", lambda *given: (read.append(given[2]), true_read(*given)))
    counts = []
    for units in (0, 1, 16):
        list(padded_chunks(both[1], torch.arange(units), 16, 5))
        counts.append(len(read))
        assert units or len(set(read)) > 5  # padding is read from all over the file
        read.clear()
    assert counts == [20, 20, 20]


def test_a_file_that_was_cut_off_is_an_error(both: tuple[UnitData, UnitFile], tmp_path: Path) -> None:
    os.truncate(tmp_path / "units.snapshot", 1000)
    with pytest.raises(EOFError):
        both[1].chunk(torch.tensor([59]), 1)


def test_a_file_without_units_gives_places_without_a_record(
    draw_units: Callable[..., UnitData], tmp_path: Path
) -> None:
    """As a machine has one that was dealt nobody."""
    nobody = UnitArrays(*(it[:0].numpy() for it in (draw_units(1).features, draw_units(1).target, draw_units(1).mask)))
    with opened(tmp_path, nobody, nobody) as descriptor:
        for side in open_units(descriptor):
            chunk = side.chunk(torch.tensor([], dtype=torch.int64), 4)
            assert (len(side), chunk.mask.shape[0], bool(chunk.mask.any())) == (0, 4, False)
