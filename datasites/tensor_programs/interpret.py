"""The interpreter: a plain loop over a fixed table of total operations; nothing is generated, compiled or looked up."""

from collections.abc import Callable, Mapping

from torch import Tensor

from datasites.tensor_programs.operations import OPERATIONS
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
    check_nodes(program)
    names = [entry.name for entry in (*program.parameters, *program.constants)]
    steps = [(OPERATIONS.get(node.op), node.args, node.kwargs) for node in program.nodes]
    results = [output.ref for output in program.outputs]
    inputs = len(program.inputs) - len(names)

    def run(values: Mapping[str, Tensor], *record: Tensor) -> tuple[Tensor, ...]:
        known = [*(values[name] for name in names), *record[:inputs]]
        drawn = iter(record[inputs:])
        for operation, references, options in steps:
            if operation is None:  # one of `policies.programs.format.RANDOM`
                known.append(next(drawn))
            else:
                known.append(operation(*[known[reference] for reference in references], **options))
        return tuple(known[reference] for reference in results)

    return run
