"""A tensor program made ready for the trainer: checked, bounded, interpreted, and cut to the memory there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from datasites.tensor_programs.bounds import Cost, RecordValue, check_bounds, measure
from datasites.tensor_programs.interpret import Interpreted, interpret, interpret_part
from policies.errors import InvalidInputError
from policies.programs.check import Purpose
from policies.programs.format import Program

_BYTES_A_COORDINATE = 32


@dataclass(frozen=True, eq=False)
class PreparedProgram:
    """A program (or what is left of it once `given` are known) that may run, its constants by name, and how many units
    at most are computed at a time.

    given: the numbers of the values that a record consists of: its features and target, unless it is a part.
    """

    program: Program
    given: tuple[int, ...]
    run: Interpreted
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
    given = len(program.inputs) - 2, len(program.inputs) - 1
    return PreparedProgram(program, given, interpret(program), constants, chunk)


def prepare_part(
    whole: PreparedProgram, given: Sequence[int], record: Sequence[RecordValue], *, kind: Purpose, memory_bytes: int
) -> PreparedProgram:
    """The part of a prepared program that gives its outputs once the values numbered `given` are known.

    Args:
        record: these values as they are for one record.

    Raises:
        InvalidInputError: as `prepare_program`.
    """
    run = interpret_part(whole.program, given, [output.ref for output in whole.program.outputs])
    cost = measure(whole.program, run, record, kind=kind)
    chunk = _units_at_a_time(whole.program, cost, kind, memory_bytes)
    return PreparedProgram(whole.program, tuple(given), run, whole.constants, chunk)


def _units_at_a_time(program: Program, cost: Cost, kind: Purpose, memory_bytes: int) -> int:
    per_unit = cost.bytes + (_BYTES_A_COORDINATE * program.parameter_count if kind == "loss" else 0)
    chunk = memory_bytes // max(1, per_unit)
    if chunk < 1:
        raise InvalidInputError(
            f"One record of the {kind} program needs {per_unit} bytes and the site's trainer may use {memory_bytes}; "
            "use a smaller model, or ask the owner for a larger limit."
        )
    return chunk
