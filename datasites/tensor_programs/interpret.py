"""The interpreter: a plain loop over a fixed table of total operations; nothing is generated, compiled or looked up."""

from collections.abc import Callable, Collection, Mapping, Sequence

from torch import Tensor

from datasites.tensor_programs.operations import OPERATIONS
from policies.errors import InvalidInputError
from policies.programs.check import check_nodes
from policies.programs.format import Program

Interpreted = Callable[..., tuple[Tensor, ...]]
"""(parameters and constants by name, one record's features, its target, the values of the program's random nodes in
their order) → the outputs in the program's order."""


def interpret(program: Program) -> Interpreted:
    """Make the program callable on one record; `torch.func.vmap` and `grad` supply records and gradients.

    Values, even non-finite ones, out-of-range indices and zero divisors, never make the function raise. It never
    writes to its arguments.

    Raises:
        InvalidInputError: a node is not allowed (checked again here, so that nothing unchecked ever runs).
    """
    record = range(len(program.inputs) - 2, len(program.inputs))
    return _interpret(program, record, range(len(program.nodes)), [output.ref for output in program.outputs])


def interpret_part(program: Program, given: Sequence[int], wanted: Sequence[int]) -> Interpreted:
    """Make a part of the program callable: (values by name, the values numbered `given`) → the values `wanted`.

    Only the nodes between them are computed; the record's features and target are there only if they are given.

    Raises:
        InvalidInputError: as `interpret`, or a wanted value needs another record input than the given ones.
    """
    return _interpret(program, given, sorted(nodes_between(program, given, wanted)), wanted)


def nodes_between(program: Program, given: Collection[int], wanted: Collection[int]) -> set[int]:
    """The numbers (from 0) of the nodes that it takes to compute `wanted` once `given` are known."""
    first, known = len(program.inputs), set(given)
    needed = set(wanted) - known
    for number in range(first + len(program.nodes) - 1, first - 1, -1):
        if number in needed:
            needed.update(reference for reference in program.nodes[number - first].args if reference not in known)
    if needed & {first - 2, first - 1}:
        raise InvalidInputError("A part of a program needs the record itself, which it is not given.")
    return {number - first for number in needed if number >= first}


def _interpret(program: Program, given: Sequence[int], nodes: Sequence[int], wanted: Sequence[int]) -> Interpreted:
    check_nodes(program)
    first = len(program.inputs)
    taken = [(first + number, program.nodes[number]) for number in nodes]
    used = {*wanted, *(reference for _, node in taken for reference in node.args)}
    names = [(number, entry.name) for number, entry in enumerate(program.inputs[:-2]) if number in used]
    steps = [(number, OPERATIONS.get(node.op), node.args, node.kwargs) for number, node in taken]

    def run(values: Mapping[str, Tensor], *record: Tensor) -> tuple[Tensor, ...]:
        known = {number: values[name] for number, name in names}
        known.update(zip(given, record[: len(given)], strict=True))
        drawn = iter(record[len(given) :])
        for number, operation, references, options in steps:
            if operation is None:  # one of `policies.programs.format.RANDOM`
                known[number] = next(drawn)
            else:
                known[number] = operation(*[known[reference] for reference in references], **options)
        return tuple(known[number] for number in wanted)

    return run
