"""Whether a tensor program may run: every node against the allow-list, inputs and outputs against its purpose."""

from typing import Literal

from policies.errors import InvalidInputError
from policies.programs.allow_list import ALLOWED
from policies.programs.format import MAXIMUM_ELEMENTS, RANDOM, Node, Program
from policies.record_form import MAXIMUM_RECORD_ELEMENTS, RecordForm

Purpose = Literal["loss", "metrics"]


def check_program(program: Program, *, kind: Purpose) -> None:
    """Refuse a program that is not allowed as a study's loss (one output, "loss") or as its metrics.

    Shapes, types and cost of the values in between are bounded later, by the trainer, before data is touched
    (`datasites.tensor_programs.bounds`).

    Raises:
        InvalidInputError: naming the input, or the node's number and operation, and what to do.
    """
    if kind == "loss" and program.output_names != ("loss",):
        raise InvalidInputError(
            f"The loss program has {len(program.outputs)} outputs; it must have exactly one, named 'loss'."
        )
    _check_inputs(program)
    check_nodes(program)
    for number, node in enumerate(program.nodes):
        if kind == "metrics" and node.op in RANDOM:
            raise InvalidInputError(
                f"Node {number} ({node.op}) of the metrics program draws random numbers; only a loss may: leave them "
                "out where the model is in eval mode."
            )


def check_pair(loss: Program, metrics: Program) -> None:
    """Check both programs of one study, and that both take the very same inputs.

    Raises:
        InvalidInputError: as `check_program`, or the inputs differ.
    """
    check_program(loss, kind="loss")
    check_program(metrics, kind="metrics")
    if loss.inputs != metrics.inputs:
        raise InvalidInputError("The loss and the metrics program take different inputs; export both from one plan.")


def check_record(program: Program, record: RecordForm) -> None:
    """Check that the program takes records of this form.

    Raises:
        InvalidInputError: it takes others; with both forms.
    """
    for entry, form, what in (
        (program.feature, record.features, "features"),
        (program.target, record.target, "target"),
    ):
        if (entry.shape, entry.dtype) != (form.shape, form.dtype):
            raise InvalidInputError(
                f"A program takes the {what} as {entry.dtype} {list(entry.shape)}; the data set has {form}. Export the "
                "plan for this data set."
            )


def check_nodes(program: Program) -> None:
    """Check each node: an operation of the list, references to earlier values only, all its options and no others.

    Raises:
        InvalidInputError: naming the first wrong node's number (from 0) and operation, and what to do.
    """
    known = len(program.inputs)
    for number, node in enumerate(program.nodes):
        problem = _problem(node, known + number)
        if problem:
            raise InvalidInputError(f"Node {number} ({node.op}) of the tensor program {problem}.")
    for output in program.outputs:
        if output.ref >= known + len(program.nodes):
            raise InvalidInputError(
                f"The output {output.name!r} refers to a value that no node computes; export again."
            )


def _check_inputs(program: Program) -> None:
    for entry in program.parameters:
        if entry.dtype != "float32":
            raise InvalidInputError(
                f"The parameter {entry.name!r} is {entry.dtype}; trained ones must be float32: call model.float()."
            )
    for entries, what in ((program.parameters, "trained parameters"), (program.constants, "constants")):
        total = sum(entry.size for entry in entries)
        if total > MAXIMUM_ELEMENTS:
            raise InvalidInputError(
                f"The program has {total} elements of {what}; at most {MAXIMUM_ELEMENTS} are accepted: shrink it."
            )
    for entry, most, what in ((program.feature, 4, "features"), (program.target, 1, "target")):
        if entry.dtype == "bool" or len(entry.shape) > most or entry.size > MAXIMUM_RECORD_ELEMENTS:
            raise InvalidInputError(
                f"A record's {what} must be float32 or int64, in at most {most} dimensions and "
                f"{MAXIMUM_RECORD_ELEMENTS} elements."
            )


def _problem(node: Node, known: int) -> str | None:
    operation = ALLOWED.get(node.op)
    if operation is None:
        return "is not an allowed operation; write the plan with the operations of policies/programs/allow_list.py"
    if not operation.fewest <= len(node.args) <= operation.most:
        return f"has {len(node.args)} operands; it takes from {operation.fewest} to {operation.most}"
    if any(reference >= known for reference in node.args):
        return "refers to a value that is not computed before it; a program may only refer backwards"
    if node.kwargs.keys() != operation.options.keys():
        return f"must have exactly these options: {', '.join(operation.options) or 'none'}"
    for name, rule in operation.options.items():
        if not rule.accepts(node.kwargs[name]):
            return f"has a wrong option {name!r}; expected is {rule.expected}"
    return None
