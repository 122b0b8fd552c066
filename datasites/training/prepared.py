"""A tensor program made ready for the trainer: checked, bounded, interpreted, and cut to the memory there is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from datasites.tensor_programs.bounds import Cost, check_bounds, measure
from datasites.training.forward import Forward
from policies.errors import InvalidInputError
from policies.programs.check import Purpose
from policies.programs.format import Program

_BYTES_A_COORDINATE = 32


@dataclass(frozen=True, eq=False)
class PreparedProgram:
    """A program that may run, on records at once, its constants by name, and how many units at most are computed at a
    time; steps of training have a size of their own (`datasites.training.choice`)."""

    program: Program
    forward: Forward
    constants: Mapping[str, Tensor]
    chunk: int


def prepare_program(
    program: Program, *, kind: Purpose, values: Mapping[str, Tensor], memory_bytes: int
) -> PreparedProgram:
    """Check `program` and everything about it that does not depend on data.

    Args:
        values: its parameters and constants by name; only the constants are kept.
        memory_bytes: what one chunk may need. A unit needs the values that the program computes for one record, and
            for a loss some copies of its gradient.

    Raises:
        InvalidInputError: the program is not allowed, does not fit together, or not even one unit fits into memory.
    """
    constants = {entry.name: values[entry.name] for entry in program.constants}
    chunk = _units_at_a_time(program, check_bounds(program, kind=kind), kind, memory_bytes)
    return PreparedProgram(program, Forward(program), constants, chunk)


def prepare_part(whole: PreparedProgram, part: Program, *, kind: Purpose, memory_bytes: int) -> PreparedProgram:
    """A part of a prepared program that gives its outputs, of other values of a record.

    Raises:
        InvalidInputError: as `prepare_program`.
    """
    chunk = _units_at_a_time(part, measure(part, kind=kind), kind, memory_bytes)
    constants = {entry.name: whole.constants[entry.name] for entry in part.constants}
    return PreparedProgram(part, Forward(part), constants, chunk)


def _units_at_a_time(program: Program, cost: Cost, kind: Purpose, memory_bytes: int) -> int:
    per_unit = cost.bytes + (_BYTES_A_COORDINATE * program.parameter_count if kind == "loss" else 0)
    chunk = memory_bytes // max(1, per_unit)
    if chunk < 1:
        raise InvalidInputError(
            f"One record of the {kind} program needs {per_unit} bytes and the site's trainer may use {memory_bytes}; "
            "use a smaller model, or ask the owner for a larger limit."
        )
    return chunk
