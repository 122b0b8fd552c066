"""Which trained parameters of a program are weights of layers, whose gradients are products of what goes in and out.

A parameter counts if it is used exactly once, as the weight of a linear map, a product with a matrix, a convolution or
a table of rows, itself or transposed. Then its gradient is a product of what goes into the layer and of the gradient
of what comes out, and of nothing else. Every other parameter is left to `vmap(grad(...))`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from policies.programs.format import Program

_TRANSPOSED = (1, 0)
_LAYERS: Mapping[str, tuple[int, int]] = {"linear": (0, 1), "matmul": (0, 1), "conv2d": (0, 1), "embedding": (1, 0)}
"""For each operation, which operand is the layer's input and which its weight."""


@dataclass(frozen=True)
class Layer:
    """One node: `input` is the value that goes in; the gradient of `weight` is as wide as the layer's output down or
    across (`output_first`)."""

    node: int
    operation: Literal["linear", "matmul", "conv2d", "embedding"]
    input: int
    weight: str
    output_first: bool
    bias: str | None


def find_layers(program: Program) -> tuple[Layer, ...]:
    """The layers of `program` by node."""
    uses = Counter(reference for node in program.nodes for reference in node.args)
    uses.update(output.ref for output in program.outputs)
    found = (_layer(program, number, uses) for number in range(len(program.nodes)))
    return tuple(layer for layer in found if layer is not None)


def _layer(program: Program, number: int, uses: Mapping[int, int]) -> Layer | None:
    node = program.nodes[number]
    if node.op not in _LAYERS:
        return None
    entrance, weight = _LAYERS[node.op]
    reference, transposed = node.args[weight], False
    first = len(program.inputs)
    if reference >= first and node.op in ("linear", "matmul") and uses[reference] == 1:
        above = program.nodes[reference - first]
        if above.op == "permute" and above.kwargs["dims"] == _TRANSPOSED:
            reference, transposed = above.args[0], True
    if not _is_trained_once(program, reference, uses):
        return None
    shape = program.inputs[reference].shape
    if len(shape) != (4 if node.op == "conv2d" else 2):
        return None
    width = shape[1] if transposed else shape[0]
    bias = node.args[2] if len(node.args) == 3 and _is_bias(program, node.args[2], width, uses) else None
    return Layer(
        node=number,
        operation=node.op,  # type: ignore[arg-type]  # it is one of the keys above
        input=node.args[entrance],
        weight=program.inputs[reference].name,
        output_first=(node.op != "matmul") != transposed,
        bias=None if bias is None else program.inputs[bias].name,
    )


def _is_bias(program: Program, reference: int, width: int, uses: Mapping[int, int]) -> bool:
    """Whether it is one number an output, added at every position: of another shape, its gradient is another sum."""
    return _is_trained_once(program, reference, uses) and program.inputs[reference].shape == (width,)


def _is_trained_once(program: Program, reference: int, uses: Mapping[int, int]) -> bool:
    return reference < len(program.parameters) and uses[reference] == 1
