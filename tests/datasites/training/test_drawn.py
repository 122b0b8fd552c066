"""What a program draws: fresh numbers of the right law for each record of each chunk, counted as memory."""

import os
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData, padded_chunks
from datasites.training.drawn import DrawingUnits
from datasites.training.randomness import SecretStream
from tests.clipped_sums import contributions

Make = Callable[..., TrainedLoss]


def people(units: int, records: int) -> UnitData:
    return UnitData(
        (torch.ones(units, records, 3), torch.zeros(units, records)), torch.ones(units, records, dtype=torch.bool)
    )


def drawing(make_loss: Make, size: int = 1000) -> TrainedLoss:
    """The loss Σ uniform · normal + Σ weight · features · uniform[0, 0]."""
    return make_loss(
        [
            ("uniform", [], {"shape": (1, size)}),
            ("normal", [], {"shape": (1, size)}),
            ("mul", [4, 5], {}),
            ("sum", [6], {"dims": (), "keep": False}),
            ("slice", [4], {"dim": 1, "start": 0, "end": 1, "step": 1}),
            ("linear", [2, 1], {}),
            ("mul", [9, 8], {}),
            ("sum", [10], {"dims": (), "keep": False}),
            ("add", [7, 11], {}),
        ]
    )


def test_each_record_of_each_chunk_is_handed_fresh_numbers_of_the_right_law(make_loss: Make) -> None:
    loss = drawing(make_loss)
    units = DrawingUnits(people(4, 2), loss.program)
    torch.manual_seed(0)
    first = units.chunk(torch.arange(4), 6)
    torch.manual_seed(0)
    second = units.chunk(torch.arange(4), 6)
    _, _, uniform, normal = first.record
    assert uniform.shape == normal.shape == (6, 2, 1, 1000)
    assert stats.kstest(uniform.flatten(), "uniform").pvalue > 1e-6
    assert stats.kstest(normal.flatten(), "norm").pvalue > 1e-6
    everything = torch.cat([uniform.flatten(), second.record[2].flatten()])
    assert len(everything.unique()) > 0.99 * len(everything)


def test_no_seed_is_behind_what_is_drawn_and_it_is_computed_in_parts(
    make_loss: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator of torch's keeps 32 bits of its seed: all of them can be tried."""
    keys: list[int] = []

    def known(count: int) -> bytes:
        keys.append(count)
        return bytes(range(count))

    program = drawing(make_loss).program
    monkeypatch.setattr(os, "urandom", known)
    once, again = (DrawingUnits(people(4, 80), program).chunk(torch.arange(4), 4) for _ in range(2))
    assert keys == [32, 32]
    for first, second in zip(once.record[2:], again.record[2:], strict=True):
        assert torch.equal(first, second)
        assert len(first.unique()) > 0.98 * first.numel() > 300_000  # more than are drawn at a time


def test_a_uniform_number_never_rounds_up_to_one(make_loss: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretStream, "uniforms", lambda _self, count: np.full(count, 1 - 2.0**-53))
    uniform = DrawingUnits(people(2, 1), drawing(make_loss).program).chunk(torch.arange(2), 2).record[2]
    assert uniform.dtype == torch.float32
    assert float(uniform.max()) < 1


def test_what_is_drawn_counts_when_data_is_cut_into_chunks(make_loss: Make) -> None:
    plain, loss = people(40, 2), drawing(make_loss, 500_000)
    units = DrawingUnits(plain, loss.program)
    assert units.unit_bytes == plain.unit_bytes + 2 * 2 * 4 * 500_000
    assert {len(chunk) for chunk in padded_chunks(units, torch.arange(40), 40, 40)} == {2}


def test_a_records_gradient_is_taken_with_its_own_numbers(make_loss: Make) -> None:
    loss = drawing(make_loss)
    chunk = DrawingUnits(people(3, 2), loss.program).chunk(torch.arange(3), 4)
    parameters = {"bias": torch.zeros(1), "weight": torch.ones(1, 3)}
    (sums,) = (it for it in loss.recorded(4, chunk, 100.0) if it.path == "full")
    got = contributions(sums, parameters, chunk)["weight"].float()
    expected = chunk.record[2][:, :, 0, :1].sum(1, keepdim=True).expand(4, 1, 3).clone()
    expected[3] = 0  # a place without a record
    torch.testing.assert_close(got, expected)
