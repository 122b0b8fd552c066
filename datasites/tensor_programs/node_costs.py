"""What each single value of a program is, and what its node costs for one record: found without allocating."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import vmap

from datasites.tensor_programs.bounds import RECORDS, Meter
from datasites.tensor_programs.operations import OPERATIONS, TORCH_TYPES
from policies.programs.format import DType, Program

_TYPE_NAMES: dict[torch.dtype, DType] = {value: name for name, value in TORCH_TYPES.items()}


@dataclass(frozen=True)
class NodeCost:
    """A value as it is for one record, and the arithmetic operations of the node that computes it."""

    shape: tuple[int, ...]
    dtype: DType
    operations: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes that the value takes."""
        return self.elements * TORCH_TYPES[self.dtype].itemsize


def node_costs(program: Program) -> tuple[NodeCost, ...]:
    """The cost of every value of a program that passed `check_bounds`, by its number; inputs and chance are free."""
    operations, values = list[int](), list[Tensor]()

    def run(known: list[Tensor], record: tuple[Tensor, ...]) -> Tensor:
        values.extend([*known, *record])
        operations.extend([meter.operations] * len(values))
        for node in program.nodes:
            operation = OPERATIONS.get(node.op)
            shape = node.kwargs.get("shape")
            if operation is not None:
                values.append(operation(*[values[reference] for reference in node.args], **node.kwargs))
            elif isinstance(shape, tuple):  # drawn at random
                values.append(torch.empty(shape))
            operations.append(meter.operations)
        shapes.extend(tuple(value.shape) for value in values)
        return record[0]

    shapes = list[tuple[int, ...]]()
    with FakeTensorMode(), Meter() as meter:
        known = [torch.empty(it.shape, dtype=TORCH_TYPES[it.dtype]) for it in program.inputs[:-2]]
        record = tuple(torch.empty((RECORDS, *it.shape), dtype=TORCH_TYPES[it.dtype]) for it in program.inputs[-2:])
        vmap(run, in_dims=(None, 0))(known, record)
    counts = (-(-(after - before) // RECORDS) for before, after in pairwise([operations[0], *operations]))
    types = (_TYPE_NAMES[value.dtype] for value in values)
    return tuple(NodeCost(*it) for it in zip(shapes, types, counts, strict=True))
