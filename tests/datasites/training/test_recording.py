"""Tapes: what the recorded function computes, for every operation and for whole steps; and their memory."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.operations import OPERATIONS
from datasites.training.data import UnitData
from datasites.training.layer_wise import layer_wise_sum
from datasites.training.per_unit import full_sum
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.programs.format import Program
from tests.operation_examples import result
from tests.small_programs import PROGRAMS, drawn, units_for


def taped(function: Callable[..., Sequence[Tensor]], *arguments: Tensor) -> Tape:
    return record(function, *(Form(tuple(it.shape), it.dtype) for it in arguments))


def same(got: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Bit by bit, or both not a number."""
    return all(
        one.dtype == other.dtype and (_bits(one) == _bits(other)).logical_or(one.isnan() & other.isnan()).all()
        for one, other in zip(got, expected, strict=True)
    )


def _bits(value: Tensor) -> Tensor:
    return value.view(torch.int64 if value.dtype == torch.float64 else torch.int32)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_replay_of_every_operation_is_what_it_computes_itself(name: str) -> None:
    def gradients(x: Tensor) -> list[Tensor]:
        return [vmap(grad(lambda x: result(name, x)))(x)]

    tape = taped(gradients, torch.zeros(3, 4))
    for x in (torch.linspace(-2, 2, 12).reshape(3, 4), torch.linspace(-9, 80, 12).reshape(3, 4)):
        torch.testing.assert_close(tape.replay(x), tuple(gradients(x)), rtol=2e-6, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("records", [1, 3])
@pytest.mark.parametrize("path", ["full", "layer-wise"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_replay_of_a_whole_step_is_what_it_computes_itself(program: Program, path: str, records: int) -> None:
    values, data = drawn(program), units_for(program, 7, records)

    def add(*given: Tensor) -> list[Tensor]:
        parameters, sums = dict(zip(values, given, strict=False)), dict(zip(values, given[-len(values) :], strict=True))
        *record, mask = given[len(values) : -len(values)]
        chunk = UnitData(tuple(record), mask)
        if path == "full":
            full_sum(interpret(program), parameters, {}, chunk, 0.1, sums)
        else:
            layer_wise_sum(program, parameters, {}, chunk, 0.1, sums)
        return [*sums.values()]

    def arguments() -> list[Tensor]:
        ones = [torch.ones(value.shape, dtype=torch.float64) for value in values.values()]
        return [*values.values(), *data.record, data.mask, *ones]

    assert same(taped(add, *arguments()).replay(*arguments()), add(*arguments()))


def test_a_replay_writes_to_those_arguments_alone_that_the_function_writes_to() -> None:
    def add(x: Tensor, total: Tensor) -> list[Tensor]:
        total.view(20).add_(x.cos().flatten())
        return [total]

    x, total = torch.randn(4, 5), torch.ones(4, 5)
    tape, before = taped(add, x, total), x.clone()
    assert tape.replay(x, total)[0] is total
    tape.replay(x, total)
    assert torch.equal(x, before)
    assert torch.equal(total, 1 + before.cos() + before.cos())


def test_a_replay_writes_to_no_argument_and_remembers_nothing() -> None:
    def steps(x: Tensor) -> list[Tensor]:
        y = x + 1
        view = y[0]
        y.mul_(2)
        return [view, y, x.cos().sum(0)]

    x = torch.randn(4, 5)
    tape, before = taped(steps, x), x.clone()
    assert same(tape.replay(x), steps(before))
    assert torch.equal(x, before)
    assert same(tape.replay(-x), steps(-before))


def test_what_nobody_needs_is_not_computed_and_nothing_twice() -> None:
    def wasteful(x: Tensor) -> list[Tensor]:
        torch.linalg.inv(x)
        scratch = torch.zeros(4)
        scratch.add_(1)
        return [x.cos() + x.view(16).view(4, 4).cos()]

    assert len(taped(wasteful, torch.ones(4, 4)).calls) == 2


def test_peak_memory_is_that_of_the_values_alive_at_one_time() -> None:
    def chain(x: Tensor) -> list[Tensor]:
        for _ in range(10):
            x = x.cos()
        return [x.t().sum(0)]

    assert 2 * 4000 <= taped(chain, torch.zeros(10, 100)).peak_bytes < 3 * 4000
    assert taped(lambda x: [x.t(), x[0]], torch.zeros(10, 100)).peak_bytes == 0
