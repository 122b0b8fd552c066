"""What one record's gradient or metrics would cost, and whether shapes and types fit: found without allocating.

The program is run on fake tensors (shapes and types only) in the very form the trainer runs it. Since no operation's
behaviour depends on values, what does not raise here does not raise on data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from datasites.tensor_programs.interpret import interpret
from datasites.tensor_programs.operations import TORCH_TYPES
from policies.errors import InvalidInputError
from policies.programs.check import Purpose, check_program
from policies.programs.format import Input, Program

MAXIMUM_BYTES = 2 * 1024**3
"""Most bytes of intermediate values that one record may need, over everything that its computation allocates."""

MAXIMUM_OPERATIONS = 20_000_000_000
"""Most arithmetic operations that one record may need."""

RECORDS = 2
"""So many are computed at a time where costs are measured."""


@dataclass(frozen=True)
class Cost:
    """Upper bounds for one record: bytes of all values computed on the way, and arithmetic operations."""

    bytes: int
    operations: int


class _TooCostlyError(Exception):
    pass


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        values = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        elements = sum(value.numel() for value in values)
        count = flop_registry.get(func.overloadpacket)
        if not func.is_view:
            self.operations += count(*args, **(kwargs or {}), out_val=result) if count else elements
        self.bytes += sum(value.numel() * value.element_size() for value in values)
        if self.bytes > RECORDS * MAXIMUM_BYTES or self.operations > RECORDS * MAXIMUM_OPERATIONS:
            raise _TooCostlyError
        return result


def check_bounds(program: Program, *, kind: Purpose) -> Cost:
    """Check the program completely: allow-list, then shapes, types and cost, of the gradient too for a loss.

    Raises:
        InvalidInputError: an operation does not fit its operands, an output is not a float32 scalar, or one record
            would need more than `MAXIMUM_BYTES` or `MAXIMUM_OPERATIONS`.
    """
    check_program(program, kind=kind)
    return measure(program, kind=kind)


def measure(program: Program, *, kind: Purpose) -> Cost:
    """What one record costs in a program that was checked, or in a part of it that takes other values of a record.

    Raises:
        InvalidInputError: as `check_bounds`.
    """
    run = interpret(program)
    trained = [entry.name for entry in program.parameters]

    def outputs(values: dict[str, Tensor], record: Sequence[Tensor]) -> tuple[Tensor, ...]:
        results = run(values, *record)
        for name, result in zip(program.output_names, results, strict=True):
            if result.shape != () or result.dtype != torch.float32:
                raise InvalidInputError(
                    f"The output {name!r} has shape {list(result.shape)} and type {result.dtype}; "
                    "each output of a tensor program must be one float32 number a record."
                )
        return results

    def loss(parameters: dict[str, Tensor], constants: dict[str, Tensor], record: Sequence[Tensor]) -> Tensor:
        return outputs({**parameters, **constants}, record)[0]

    # Outermost is the meter, then the fake tensors: transforms are taken apart before either sees an operation.
    with FakeTensorMode(), Meter() as meter:
        values = {entry.name: _empty(entry) for entry in (*program.parameters, *program.constants)}
        records = [_empty(entry, RECORDS) for entry in program.inputs[len(values) :]]
        constants = {name: value for name, value in values.items() if name not in trained}
        before = Cost(meter.bytes, meter.operations)
        try:
            records += [torch.empty((RECORDS, *draw.shape)) for draw in program.draws]
            if kind == "loss":
                parameters = {name: values[name] for name in trained}
                vmap(grad(loss), in_dims=(None, None, 0))(parameters, constants, records)
            else:
                vmap(outputs, in_dims=(None, 0))(values, records)
        except _TooCostlyError as error:
            raise InvalidInputError(
                f"One record needs more than {MAXIMUM_BYTES} bytes or {MAXIMUM_OPERATIONS} operations in the {kind} "
                "program; use a smaller model."
            ) from error
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise InvalidInputError(
                f"The {kind} program does not fit together ({_first_line(error)}); export the plan again."
            ) from error
    return Cost(-(-(meter.bytes - before.bytes) // RECORDS), -(-(meter.operations - before.operations) // RECORDS))


def _empty(entry: Input, *leading: int) -> Tensor:
    return torch.empty((*leading, *entry.shape), dtype=TORCH_TYPES[entry.dtype])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
