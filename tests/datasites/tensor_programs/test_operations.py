"""Every operation of the allow-list is total: no value of a record makes it, or its gradient, raise or change shape."""

import math
import warnings

import pytest
import torch
from torch.func import grad, vmap

from datasites.tensor_programs.bounds import check_bounds
from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.operations import OPERATIONS
from policies.programs.allow_list import ALLOWED
from policies.programs.format import RANDOM
from tests.one_operation import HOSTILE, TARGETS, WIDTH, drawn, parameters_of, program_for


def test_the_interpreter_knows_exactly_the_allow_list() -> None:
    assert OPERATIONS.keys() | RANDOM == ALLOWED.keys()
    assert not OPERATIONS.keys() & RANDOM


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_hostile_values_never_raise_in_value_or_gradient(name: str) -> None:
    program = program_for(name)
    check_bounds(program, kind="loss")
    run = interpret(program)
    parameters = parameters_of(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = (HOSTILE, TARGETS, *drawn(program, len(TARGETS)))
        values = vmap(lambda *record: run(parameters, *record)[0])(*record)
        gradients = vmap(grad(lambda p, record: run(p, *record)[0]), in_dims=(None, 0))(parameters, record)
    assert values.shape == (len(TARGETS),)
    assert {key: value.shape[1:] for key, value in gradients.items()} == {k: v.shape for k, v in parameters.items()}


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_a_records_result_does_not_depend_on_the_others(name: str) -> None:
    program = program_for(name)
    run, parameters = interpret(program), parameters_of(program)
    features, targets = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(2)), torch.arange(5)
    random = drawn(program, 5)
    together = vmap(lambda *record: run(parameters, *record)[0])(features, targets, *random)
    features[1:], targets[1:] = HOSTILE[:4], TARGETS[:4]
    among_hostile = vmap(lambda *record: run(parameters, *record)[0])(features, targets, *random)
    assert torch.equal(together[:1], among_hostile[:1]) or bool(
        torch.isnan(together[0]) & torch.isnan(among_hostile[0])
    )


def test_indices_out_of_range_mean_the_nearest_one() -> None:
    scores = torch.tensor([[0.1, 0.2, 3.0]])
    for operation, options in (("cross_entropy", {"label_smoothing": 0.0}), ("nll_loss", {})):
        got = OPERATIONS[operation](scores, torch.tensor([99]), reduction="mean", **options)
        assert got == OPERATIONS[operation](scores, torch.tensor([2]), reduction="mean", **options)
    assert torch.equal(OPERATIONS["one_hot"](torch.tensor([-5, 1, 7]), classes=3), torch.eye(3, dtype=torch.int64))


def test_probabilities_outside_the_unit_interval_do_not_raise_and_inside_mean_what_torch_means() -> None:
    target = torch.tensor([0.0, 1.0, 0.3])
    inside = torch.tensor([0.0, 0.25, 1.0])
    expected = torch.nn.functional.binary_cross_entropy(inside, target)
    torch.testing.assert_close(OPERATIONS["binary_cross_entropy"](inside, target, reduction="mean"), expected)
    outside = OPERATIONS["binary_cross_entropy"](torch.tensor([2.0, -1.0, math.nan]), target, reduction="none")
    assert outside.shape == (3,)


def test_no_operation_writes_to_its_operands() -> None:
    for name in ALLOWED:
        program = program_for(name)
        parameters = parameters_of(program)
        before = {key: value.clone() for key, value in parameters.items()}
        feature = HOSTILE[0].clone()
        interpret(program)(parameters, feature, TARGETS[0], *drawn(program))
        assert torch.equal(feature, HOSTILE[0]), name
        assert all(torch.equal(parameters[key], before[key]) for key in before), name
