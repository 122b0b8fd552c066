"""Where a program can be cut in two: the part that no trained parameter reaches is a function of the record alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from datasites.tensor_programs.node_costs import NodeCost
from policies.programs.format import RANDOM, Input, Output, Program

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
        if node.op in RANDOM or not trained.isdisjoint(node.args):
            trained.add(number)
            crossing |= operands
        elif operands:
            is_view = node.op in _VIEWS and costs[min(operands)].bytes <= costs[number].bytes
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
    computed = _between(program, record, crossing)
    return Cut(tuple(sorted(crossing)), sum(costs[number].operations for number in computed))


def worth_keeping(cut: Cut, costs: Sequence[NodeCost], *, once: int, otherwise: int) -> bool:
    """Whether it is less work to compute the cut's values for `once` records and read them than for `otherwise`.

    A byte is written or read, and encrypted or decrypted, in about the time of 16 operations of a matrix product.
    """
    size = sum(costs[number].bytes for number in cut.values)
    return cut.operations * (otherwise - once) > _OPERATIONS_A_BYTE * size * (once + otherwise)


def split_at(program: Program, cut: Cut, costs: Sequence[NodeCost]) -> tuple[Program, Program]:
    """The program in two: from the record to the values that cross, and from them, and the parameters, to its outputs.

    The second one's record is what crosses, in the order of the cut. Both hold nodes of `program` and no others.
    """
    record = dict(enumerate(program.inputs[-2:], start=len(program.inputs) - 2))
    crossing = {
        number: Input(name=f"value{number}", kind="feature", shape=costs[number].shape, dtype=costs[number].dtype)
        for number in cut.values
    }
    results = [Output(name=f"value{number}", ref=number) for number in cut.values]
    return _part(program, (), record, results), _part(program, program.parameters, crossing, program.outputs)


def whole_record(program: Program) -> Cut:
    """The cut right behind the record, before any node."""
    return Cut((len(program.inputs) - 2, len(program.inputs) - 1), 0)


def _part(program: Program, trained: Sequence[Input], given: Mapping[int, Input], outputs: Sequence[Output]) -> Program:
    """The part between `given` values and `outputs`, with these parameters, whether it uses them or not."""
    first, wanted = len(program.inputs), [output.ref for output in outputs]
    nodes = {number: program.nodes[number - first] for number in sorted(_between(program, given, wanted))}
    used = {*wanted, *(reference for node in nodes.values() for reference in node.args)}
    fixed = {
        number: entry
        for number, entry in enumerate((*program.parameters, *program.constants))
        if number < len(trained) or (entry.kind == "constant" and number in used)
    }
    places = {number: place for place, number in enumerate([*fixed, *given, *nodes])}
    # Its values were checked where they come from. It has other record inputs than a program that travels.
    return Program.model_construct(
        version=program.version,
        inputs=(*fixed.values(), *given.values()),
        nodes=tuple(
            node.model_copy(update={"args": tuple(places[reference] for reference in node.args)})
            for node in nodes.values()
        ),
        outputs=tuple(output.model_copy(update={"ref": places[output.ref]}) for output in outputs),
    )


def _between(program: Program, given: Collection[int], wanted: Collection[int]) -> set[int]:
    """The numbers of the nodes' values that it takes to compute `wanted` once `given` are known."""
    first = len(program.inputs)
    needed = set(wanted).difference(given)
    for number in range(first + len(program.nodes) - 1, first - 1, -1):
        if number in needed:
            needed.update(reference for reference in program.nodes[number - first].args if reference not in given)
    return {number for number in needed if number >= first}


def _is_cheap(costs: Sequence[NodeCost], number: int, further: set[int]) -> bool:
    """Whether a value is made in one pass, out of `further` values to keep that are smaller than it is itself."""
    size = sum(costs[operand].bytes for operand in further)
    return size < costs[number].bytes and costs[number].operations <= costs[number].elements
