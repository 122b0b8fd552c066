"""From a graph of torch.export to a tensor program: the operations of the allow-list, or a refusal with its remedy."""

import operator
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from torch import fx

from policies.errors import InvalidInputError
from policies.programs.format import RANDOM, Input, Node, Output, Program
from policies.statements.schema import describe_validation_error
from researcher.translation.call import Builder, Call, Handler, Values, refusal_of
from researcher.translation.remedies import remedy

_GUARDS = ("aten._assert_tensor_metadata.default",)


def translate(
    graph: fx.Graph,
    placeholders: Mapping[str, str],
    inputs: Sequence[Input],
    output_names: Sequence[str],
    handlers: Mapping[str, Handler],
    where: str,
    *,
    may_draw: bool,
) -> Program:
    """Translate a functional graph; `placeholders` maps its placeholders' names to names of `inputs`.

    Args:
        where: what the graph is, to begin the sentences of errors.
        may_draw: whether the program may draw random numbers.

    Raises:
        InvalidInputError: an operation is not allowed, naming it, the line that calls it, and the remedy.
    """
    number = {entry.name: index for index, entry in enumerate(inputs)}
    build = Builder(len(inputs), may_draw)
    known: dict[fx.Node, Values] = {}
    results: list[int] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            if node.users:
                known[node] = number[placeholders[node.name]]
        elif node.op == "output":
            results = [_single(known[value]) for value in node.args[0]]
        elif node.target is operator.getitem and isinstance(node.args[0], fx.Node):
            known[node] = _item(node.args[0], known[node.args[0]], int(node.args[1]), where)
        elif str(node.target) not in _GUARDS:
            known[node] = _translated(node, build, known, handlers, where)
    nodes, results = _needed(build, results)
    try:
        outputs = tuple(Output(name=name, ref=ref) for name, ref in zip(output_names, results, strict=True))
        return Program(version="cloister-program/1", inputs=tuple(inputs), nodes=tuple(nodes), outputs=outputs)
    except ValidationError as error:
        raise InvalidInputError(f"{where} has no tensor program ({describe_validation_error(error)}).") from error


def _translated(
    node: fx.Node, build: Builder, known: Mapping[fx.Node, Values], handlers: Mapping[str, Handler], where: str
) -> Values:
    handler = handlers.get(str(node.target).removeprefix("aten."))
    if handler is None:
        raise refusal_of(node, where, remedy(str(node.target)))
    call = Call(build, node, known, where)
    try:
        result = handler(call)
    except ValidationError as error:
        raise call.refusal(f"in a form that tensor programs lack ({describe_validation_error(error)})") from error
    call.check_all_used()
    return result


def _needed(build: Builder, results: Sequence[int]) -> tuple[list[Node], list[int]]:
    """Leave out nodes that no result needs, and renumber; what is drawn stays, so that it keeps the plan's order."""
    needed = {*results, *(build.inputs + index for index, node in enumerate(build.nodes) if node.op in RANDOM)}
    for index in reversed(range(len(build.nodes))):
        if build.inputs + index in needed:
            needed.update(build.nodes[index].args)
    number = {index: index for index in range(build.inputs)}
    nodes: list[Node] = []
    for index, node in enumerate(build.nodes):
        if build.inputs + index in needed:
            number[build.inputs + index] = build.inputs + len(nodes)
            nodes.append(node.model_copy(update={"args": tuple(number[reference] for reference in node.args)}))
    return nodes, [number[result] for result in results]


def _single(value: Values) -> int:
    return value[0] if isinstance(value, list) else value


def _item(node: fx.Node, values: Values, index: int, where: str) -> int:
    if not isinstance(values, list):
        return values
    if index >= len(values):
        raise refusal_of(node, where, "for a result of it that tensor programs do not have, such as positions")
    return values[index]
