"""Where a program can be cut in two: the part that no trained parameter reaches is a function of the record alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasites.tensor_programs.interpret import nodes_between
from datasites.tensor_programs.node_costs import NodeCost
from policies.programs.format import Program

_RANDOM = frozenset({"normal", "uniform"})
_VIEWS = frozenset({"detach", "expand", "permute", "reshape"})
_OPERATIONS_A_BYTE = 16


@dataclass(frozen=True)
class Cut:
    """`values` are the numbers of the values that cross; to compute them takes `operations` a record."""

    values: tuple[int, ...]
    operations: int


def find_cut(program: Program, costs: Sequence[NodeCost]) -> Cut | None:
    """The cut behind which everything depends on trained parameters or chance; None if nothing lies before it.

    What depends on no record is not cut off: it is computed on either side. Where a crossing value is cheaper to
    compute than to keep, the cut lies before it: an expanded mask, say, is expanded again from what it was made of.
    In `frozen` stands, beside each value that only the record reaches, the smaller one that it merely views, or itself.
    """
    first, record = len(program.inputs), {len(program.inputs) - 2, len(program.inputs) - 1}
    trained, frozen = set(range(len(program.parameters))), {number: number for number in record}
    crossing = set[int]()
    for number, node in enumerate(program.nodes, start=first):
        operands = {frozen[it] for it in node.args if it in frozen}
        if node.op in _RANDOM or not trained.isdisjoint(node.args):
            trained.add(number)
            crossing |= operands
        elif operands:
            is_view = node.op in _VIEWS and costs[min(operands)].value.bytes <= costs[number].value.bytes
            frozen[number] = min(operands) if is_view else number
    crossing.update(frozen[output.ref] for output in program.outputs if output.ref in frozen)
    for number in range(first + len(program.nodes) - 1, first - 1, -1):
        if number in crossing:
            operands = {frozen[it] for it in program.nodes[number - first].args if it in frozen}
            if _is_cheap(costs, number, operands - crossing):
                crossing.remove(number)
                crossing |= operands
    if crossing <= record:
        return None
    computed = nodes_between(program, record, crossing)
    return Cut(tuple(sorted(crossing)), sum(costs[first + number].operations for number in computed))


def worth_keeping(cut: Cut, costs: Sequence[NodeCost], *, once: int, otherwise: int) -> bool:
    """Whether it is less work to compute the cut's values for `once` records and read them than for `otherwise`.

    A byte is written or read, and encrypted or decrypted, in about the time of 16 operations of a matrix product.
    """
    size = sum(costs[number].value.bytes for number in cut.values)
    return cut.operations * (otherwise - once) > _OPERATIONS_A_BYTE * size * (once + otherwise)


def _is_cheap(costs: Sequence[NodeCost], number: int, further: set[int]) -> bool:
    """Whether a value is made in one pass, out of `further` values to keep that are smaller than it is itself."""
    value, size = costs[number].value, sum(costs[operand].value.bytes for operand in further)
    return size < value.bytes and costs[number].operations <= value.elements
