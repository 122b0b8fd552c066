"""What a chunk takes is found in a bounded time, and the time of many units from that of few."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor

from datasites.training import tape as tape_module
from datasites.training.measuring import chunk_seconds
from datasites.training.recording import record
from datasites.training.tape import Form, Tape

UNITS = 4096


def recorded(units: int, products: int = 1) -> Tape:
    """So many products for each of `units` units."""

    def compute(each: Tensor) -> list[Tensor]:
        for _ in range(products):
            each = each @ each
        return [each]

    return record(compute, Form((units, 8, 8), torch.float32))


class Timed:
    """A computation that takes `of_all` seconds for all units together, and `of_each` for each of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, of_all: float, of_each: float) -> None:
        self.of_all, self.of_each = of_all, of_each
        self.asked = list[int]()
        self.spent = 0.0
        monkeypatch.setattr(Tape, "seconds", self._seconds())

    def _seconds(self) -> Callable[..., float]:
        def seconds(tape: Tape, *_values: Tensor, most: float) -> float:
            taken = self.true(tape.forms[0].shape[0])
            self.spent += min(taken, most)
            return taken if taken <= most else inf

        return seconds

    def true(self, units: int) -> float:
        return self.of_all + units * self.of_each

    def found(self, units: int) -> float:
        return chunk_seconds(recorded(units), units, self._fewer)

    def _fewer(self, units: int) -> Tape:
        self.asked.append(units)
        return recorded(units)


def test_a_chunk_that_takes_too_long_is_broken_off_after_the_call_in_which_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tape, steps = recorded(2, products=60), list[int]()
    take = tape_module._take

    def counted(some: Sequence[Any], values: list[Any]) -> None:
        steps.append(len(some))
        take(some, values)

    monkeypatch.setattr(tape_module, "_take", counted)
    values = [torch.rand(form.shape) for form in tape.forms]
    assert tape.seconds(*values, most=0.0) == inf
    assert steps == [1]
    assert tape.seconds(*values, most=inf) < inf
    assert len(steps) > 60


@pytest.mark.parametrize(("of_all", "of_each"), [(0, 0.01), (0.9, 0.001), (0.3, 0.1), (0.001, 0.9)])
def test_the_time_of_a_chunk_is_carried_on_from_fewer_units_in_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch, of_all: float, of_each: float
) -> None:
    """Most of what one unit takes may be the same for more of them."""
    timed = Timed(monkeypatch, of_all, of_each)
    assert timed.found(UNITS) == pytest.approx(timed.true(UNITS))
    assert max(timed.asked) <= 100
    assert timed.spent < 20


def test_a_chunk_that_takes_little_is_measured_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, 0.1, 0.0001)
    assert timed.found(UNITS) == timed.true(UNITS)
    assert timed.asked == []


def test_where_one_unit_alone_takes_too_long_no_more_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, 0, 5)
    assert timed.found(UNITS) == timed.true(UNITS)
    assert timed.asked == [1]
    assert timed.spent == 1 + 5


def test_what_is_found_is_a_time() -> None:
    tape = recorded(64)
    assert 0 < chunk_seconds(tape, 64, recorded) < 1
