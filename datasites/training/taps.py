"""A program run on one record with a tap at each layer: what goes in is kept, and what comes out can be differentiated.

Convolutions whose weight is not differentiated here are the library's own: for many records with one weight it
computes them image by image (a test shows that no bit crosses), unlike the gradients of many weights.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from datasites.tensor_programs.operations import OPERATIONS
from datasites.training.layers import Layer
from policies.programs.format import RANDOM, Program

Tapped = Callable[
    [Mapping[str, Tensor], Sequence[Tensor] | None, Sequence[Tensor]], tuple[Tensor, list[Tensor], list[Tensor]]
]
"""(values by name, taps, record) → the loss, what goes into each layer, and what comes out of it."""


def tapped(program: Program, layers: Sequence[Layer]) -> Tapped:
    """Make the loss `program` callable on one record; taps are terms added to the layers' outputs, in their order.

    A record ends with the values of the program's random nodes, as for `interpret`.
    """
    names = [entry.name for entry in (*program.parameters, *program.constants)]
    places = {layer.node: place for place, layer in enumerate(layers)}
    shared = set(places) | {number for number in range(len(program.nodes)) if _is_frozen_convolution(program, number)}
    given = len(program.inputs) - len(names)

    def run(
        values: Mapping[str, Tensor], taps: Sequence[Tensor] | None, record: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        known, inputs, outputs = [*(values[name] for name in names), *record[:given]], list[Tensor](), list[Tensor]()
        drawn = iter(record[given:])
        for number, node in enumerate(program.nodes):
            if node.op in RANDOM:
                known.append(next(drawn))
                continue
            operands = [known[reference] for reference in node.args]
            is_shared = node.op == "conv2d" and number in shared
            operation: Callable[..., Tensor] = shared_convolution if is_shared else OPERATIONS[node.op]
            result = operation(*operands, **node.kwargs)
            if number in places:
                inputs.append(known[layers[places[number]].input])
                outputs.append(result)
                result = result if taps is None else _tap(result, taps[places[number]])
            known.append(result)
        return known[program.outputs[0].ref], inputs, outputs

    return run


class _Tap(Function):
    """y + 0, where the zero is another operand: both have the gradient of the sum, and nothing is computed."""

    @staticmethod
    def forward(y: Tensor, zero: Tensor) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, int], y: Tensor, zero: Tensor) -> tuple[Tensor, int]:
        records = y.expand(info.batch_size, *y.shape) if dims[0] is None else y.movedim(dims[0], 0)
        return _tap(records, zero), 0

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient


def _tap(y: Tensor, zero: Tensor) -> Tensor:
    result: Tensor = _Tap.apply(y, zero)  # type: ignore[no-untyped-call]
    return result


def shared_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, **options: Any) -> Tensor:
    """The library's, for a weight that is the same for all records."""
    return functional.conv2d(x.float(), weight.float(), None if bias is None else bias.float(), **options)


def _is_frozen_convolution(program: Program, number: int) -> bool:
    node = program.nodes[number]
    fixed = len(program.parameters) + len(program.constants)
    return node.op == "conv2d" and len(program.parameters) <= node.args[1] < fixed
