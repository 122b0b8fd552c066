"""What each single value of a program is, and what its node costs for one record: found without allocating."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import vmap

from datasites.tensor_programs.bounds import RECORDS, Meter, RecordValue
from datasites.tensor_programs.operations import OPERATIONS, TORCH_TYPES
from policies.programs.format import Program


@dataclass(frozen=True)
class NodeCost:
    """A value as it is for one record, and the arithmetic operations of the node that computes it."""

    value: RecordValue
    operations: int


def node_costs(program: Program) -> tuple[NodeCost, ...]:
    """The cost of every value of a program that passed `check_bounds`, by its number; inputs are free."""
    operations, values = [], list[RecordValue]()

    def run(known: list[Tensor], record: tuple[Tensor, ...]) -> Tensor:
        known = [*known, *record]
        operations.extend([meter.operations] * len(known))
        for node in program.nodes:
            known.append(OPERATIONS[node.op](*[known[reference] for reference in node.args], **node.kwargs))
            operations.append(meter.operations)
        values.extend(RecordValue(tuple(value.shape), value.dtype) for value in known)
        return record[0]

    with FakeTensorMode(), Meter() as meter:
        known = [torch.empty(it.shape, dtype=TORCH_TYPES[it.dtype]) for it in program.inputs[:-2]]
        record = tuple(torch.empty((RECORDS, *it.shape), dtype=TORCH_TYPES[it.dtype]) for it in program.inputs[-2:])
        vmap(run, in_dims=(None, 0))(known, record)
    counts = (after - before for before, after in pairwise([operations[0], *operations]))
    return tuple(NodeCost(value, -(-count // RECORDS)) for value, count in zip(values, counts, strict=True))
