"""P1 through what stays: no operation of a step writes to the model, to a constant or to a record, on any path."""

import pytest
import torch
from torch import Tensor

from datasites.training.data import UnitData
from policies.errors import InvalidInputError
from policies.programs.allow_list import ALLOWED
from policies.programs.check import check_program
from policies.programs.format import Program, parse_program
from policies.statements.canonical import canonical_bytes
from tests.attacks.crafted_study import SQUARE, Nodes, document
from tests.clipped_sums import summed, trained_loss
from tests.one_operation import HOSTILE, TARGETS, drawn, parameters_of, program_for

FROZEN = ("row", "seven", "two")


def with_constants(program: Program) -> Program:
    """The same program with these of its parameters frozen: they come as constants, behind the parameters."""
    trained = [it for it in program.parameters if it.name not in FROZEN]
    frozen = [it.model_copy(update={"kind": "constant"}) for it in program.parameters if it.name in FROZEN]
    inputs = (*trained, *frozen, *program.inputs[len(program.parameters) :])
    places = {it.name: place for place, it in enumerate(inputs)}
    moved = [places[it.name] for it in program.inputs] + list(range(len(inputs), len(inputs) + len(program.nodes)))
    nodes = tuple(it.model_copy(update={"args": tuple(moved[arg] for arg in it.args)}) for it in program.nodes)
    return Program(version=program.version, inputs=inputs, nodes=nodes, outputs=program.outputs)


def bits(*values: Tensor) -> list[bytes]:
    return [value.numpy().tobytes() for value in values]


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_no_step_writes_to_what_it_is_given_or_remembers_it(name: str) -> None:
    """A buffer that one record writes and the next one reads would carry the one into what the other adds."""
    program = with_constants(program_for(name))
    every = parameters_of(program_for(name))
    values = {entry.name: every[entry.name] for entry in program.parameters}
    constants = {entry.name: every[entry.name] for entry in program.constants}
    record = (HOSTILE[:, None], TARGETS[:, None], *drawn(program, len(TARGETS), 1))
    data = UnitData(record, torch.ones((len(TARGETS), 1), dtype=torch.bool))
    held = (*values.values(), *constants.values(), *record, data.mask)
    before = bits(*held)
    for sums in trained_loss(program, constants).recorded(len(data), data, 1.0):
        first, again = (bits(*summed(sums, values, data).values()) for _ in range(2))
        assert first == again, sums.path
        assert bits(*held) == before, sums.path


@pytest.mark.parametrize("name", ["add_", "mul_", "copy_", "fill_", "index_put_", "zero_", "set_", "out", "put"])
def test_what_writes_has_no_name(name: str) -> None:
    nodes: Nodes = [*SQUARE, (name, [0, 5], {}), ("sum", [6], {"dims": [], "keep": False})]
    with pytest.raises(InvalidInputError, match=r"not an allowed operation|pattern"):
        check_program(parse_program(canonical_bytes(document(nodes))), kind="loss")
