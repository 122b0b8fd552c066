"""From a model and what a plan makes of its output to one record's functional graph, with its inputs by name."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch._ops import OperatorBase
from torch.export import ExportedProgram, default_decompositions
from torch.export.graph_signature import InputKind
from torch.fx.traceback import annotate_fn

from policies.errors import InvalidInputError
from researcher.no_grad import inline_no_grad
from researcher.source_lines import line_of_error, line_of_node

_MODEL = "model."
_ROLLED = ("gru.input", "lstm.input", "rnn_relu.input", "rnn_tanh.input")

T = TypeVar("T")
Results = Callable[..., tuple[Tensor, ...]]
"""(the model's output, a batch of targets) → what the program computes."""


@dataclass(frozen=True)
class Traced:
    """One functional graph; its inputs' names by placeholder, and the parameters, buffers and literals it uses.

    `differentiated` names those that a gradient of the results may flow to.
    """

    graph: fx.Graph
    placeholders: Mapping[str, str]
    used: Mapping[str, Tensor]
    differentiated: frozenset[str]


class _Record(nn.Module):
    """The model and what follows it on one record: features, target → the results."""

    def __init__(self, model: nn.Module, results: Results) -> None:
        super().__init__()
        self.model = model
        self._results = results

    def forward(self, feature: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._results(self.model(feature.unsqueeze(0)), target.unsqueeze(0))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The whole model in eval mode; afterwards every part is again in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def trace(model: nn.Module, results: Results, record: tuple[Tensor, Tensor], what: str) -> Traced:
    """Export `results` of the model on one record: its features and its target, without a batch.

    Raises:
        InvalidInputError: it cannot be exported, or it keeps state; with the line and the remedy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own use of pytrees
        warnings.filterwarnings("ignore", "The tensor attributes .* were assigned during export")  # of nn.GRU, nn.LSTM
        whole = _Record(model, results)
        return _named(_functional(whole, record, what), whole, _aliases(model), what)


def annotated(method: Callable[..., T]) -> Callable[..., T]:
    """The method, so that lines of it stand in the graph."""
    function: Callable[..., T] = annotate_fn({"part": method.__name__})(method)
    return function


def _functional(whole: _Record, record: tuple[Tensor, Tensor], what: str) -> ExportedProgram:
    try:
        exported = torch.export.export(whole, record)
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"The plan's {what} cannot be exported{line_of_error(error)}: Python would have to see a value of a record "
            "(an `if`, `float()`, `.item()` or `.numpy()` on a tensor, a mask as index). Keep values in tensors and "
            "choose with torch.where."
        ) from error
    _check_rolled(exported.graph, what)
    inline_no_grad(exported)
    # Beside unrolling, this only makes the graph functional: no writes in place, `detach` kept.
    functional: ExportedProgram = exported.run_decompositions(_unrolling())
    signature = functional.graph_signature
    for node, written in {**signature.buffers_to_mutate, **signature.user_inputs_to_mutate}.items():
        raise InvalidInputError(
            f"The plan's {what} writes to {written!r}{_line(functional.graph, node)}, so that one record would see "
            "another or itself changed; compute without state, into new tensors."
        )
    return functional


@cache
def _unrolling() -> dict[OperatorBase, Callable[..., Any]]:
    """How torch unrolls recurrent layers; it takes a sixth of an export to look through all that it can decompose."""
    table = default_decompositions()
    return {it: table[it] for it in table if str(it).removeprefix("aten.") in _ROLLED}


def _check_rolled(graph: fx.Graph, what: str) -> None:
    """torch 2.13 unrolls recurrent layers without the dropout between them."""
    for node in graph.nodes:
        if str(node.target).removeprefix("aten.") in _ROLLED:
            names = [entry.name for entry in node.target._schema.arguments]
            given = dict(zip(names, node.args, strict=False))
            if given["dropout"] and given["train"]:
                raise InvalidInputError(
                    f"The plan's {what} uses a recurrent layer with dropout inside{line_of_node(node)}, which export "
                    "cannot keep; write one layer after the other with nn.Dropout between them."
                )


def _line(graph: fx.Graph, name: str) -> str:
    return next((line_of_node(node) for node in graph.nodes if node.name == name), "")


def _named(exported: ExportedProgram, whole: _Record, aliases: Mapping[str, str], what: str) -> Traced:
    placeholders: dict[str, str] = {}
    used: dict[str, Tensor] = {}
    values = {
        **dict(whole.named_parameters(remove_duplicate=False)),
        **dict(whole.named_buffers(remove_duplicate=False)),
    }
    busy = {node.name for node in exported.graph.nodes if node.op == "placeholder" and node.users}
    fed = iter(("feature", "target"))
    for spec in exported.graph_signature.input_specs:
        placeholder = spec.arg.name
        if spec.kind == InputKind.USER_INPUT:
            placeholders[placeholder] = next(fed)
            continue
        target = str(spec.target)
        name = aliases.get(target.removeprefix(_MODEL), f"{what}.{target}")
        placeholders[placeholder] = name
        if placeholder in busy:
            used[name] = values[target] if target in values else exported.constants[target]
    reached = frozenset(placeholders[node.name] for node in _differentiated(exported.graph) if node.op == "placeholder")
    return Traced(exported.graph, placeholders, used, reached)


def _differentiated(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that the results depend on other than through `detach`."""
    waiting, found = list(graph.output_node().all_input_nodes), set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if node not in found and node.target is not torch.ops.aten.detach.default:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _aliases(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer → its first name: tied weights have several names and one value."""
    first: dict[int, str] = {}
    named: Sequence[tuple[str, Tensor]] = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    return {name: first.setdefault(id(value), name) for name, value in named}
