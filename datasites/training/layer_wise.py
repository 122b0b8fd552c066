"""The layer-wise path to a clipped sum: per record only what goes into a layer, and the gradient of what comes out.

The program sees one record at a time (`vmap`), as in `datasites.training.per_unit`; but the weights of its layers
(`datasites.training.layers`) are shared by all records and not differentiated. In their place each layer's output has a
tap (`datasites.training.taps`), whose gradient for each record is what the layer's contribution is made of
(`datasites.training.contributions`, with the proof). Whatever is no layer's weight has its gradient per record.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.windows import columns
from datasites.training.contributions import Contribution, add_clipped, dense, factored, is_short, product, rows
from datasites.training.data import UnitData
from datasites.training.layers import Layer, find_layers
from datasites.training.taps import tapped
from policies.programs.check import check_nodes
from policies.programs.format import Program


def layer_wise_sum(
    program: Program,
    parameters: Mapping[str, Tensor],
    constants: Mapping[str, Tensor],
    data: UnitData,
    norm: float,
    sums: Mapping[str, Tensor],
) -> None:
    """What `datasites.training.per_unit.full_sum` does, but for rounding and for the slack of the bounds."""
    check_nodes(program)
    layers = find_layers(program)
    units, records = data.mask.shape
    by_layer = {name for layer in layers for name in (layer.weight, layer.bias)}
    shared = {**constants, **{name: value for name, value in parameters.items() if name in by_layer}}
    alone = {name: value for name, value in parameters.items() if name not in by_layer}
    run = tapped(program, layers)
    each = tuple(value.flatten(0, 1) for value in data.record)
    results = run({**shared, **alone}, None, [value[0] for value in each])[2]
    taps = [torch.zeros(units * records, *result.shape) for result in results]

    def loss(taps: list[Tensor], alone: dict[str, Tensor], record: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        value, inputs, _ = run({**shared, **alone}, taps, record)
        return value, inputs

    (outputs, others), inputs = vmap(grad(loss, argnums=(0, 1), has_aux=True), in_dims=(0, None, 0))(taps, alone, each)
    of_unit = partial(_of_units, mask=data.mask)
    found = {name: dense(of_unit(gradient).sum(1)) for name, gradient in others.items()}
    for layer, output, value in zip(layers, outputs, inputs, strict=True):
        options = program.nodes[layer.node].kwargs
        found.update(_contributions(layer, options, of_unit(output), of_unit(value), parameters[layer.weight]))
    add_clipped(found, norm, data.mask.any(1), sums)


def _of_units(values: Tensor, mask: Tensor) -> Tensor:
    """[units × records, …] → [units, records, …], zero where a unit has no such record."""
    result = values.reshape(*mask.shape, *values.shape[1:])
    if mask.shape[1] == 1:  # a unit without its only record is left out as a whole
        return result
    return torch.where(mask.reshape(*mask.shape, *[1] * (values.ndim - 1)), result, 0)


def _contributions(
    layer: Layer, options: Mapping[str, Any], outputs: Tensor, inputs: Tensor, weight: Tensor
) -> Iterator[tuple[str, Contribution]]:
    """Of the layer's weight and bias, from gradients and inputs [units, records, …]."""
    match layer.operation:
        case "embedding":
            indices = inputs.flatten(1).to(torch.int64).clamp(0, len(weight) - 1)
            yield layer.weight, rows(outputs.reshape(*indices.shape, -1), indices, len(weight))
        case "conv2d":
            yield layer.weight, _convolution(outputs, inputs.float(), weight, options)
            if layer.bias:
                yield layer.bias, dense(outputs.sum((1, 2, 4, 5)))
        case _:
            sides = [it.reshape(len(it), -1, it.shape[-1]).float() for it in (outputs, inputs)]
            if sides[0].shape[1] != sides[1].shape[1]:
                raise ValueError("What comes out of a layer has other positions than what goes in.")
            yield layer.weight, product(*(sides if layer.output_first else sides[::-1]))
            if layer.bias:
                yield layer.bias, dense(sides[0].sum(1) if sides[0].shape[1] > 1 else sides[0].squeeze(1))


def _convolution(outputs: Tensor, inputs: Tensor, weight: Tensor, options: Mapping[str, Any]) -> Contribution:
    """Of the weight [o, c / groups, kh, kw], from gradients and inputs [units, records, images, channels, h, w].

    A window is a position: what goes in is a column of c / groups × kh × kw numbers.
    """
    units, groups, filters = len(outputs), options["groups"], outputs.shape[3]
    images, gradients = inputs.flatten(0, 2), outputs.flatten(0, 2)
    stride, padding, dilation = options["stride"], options["padding"], options["dilation"]
    found = columns(images, groups, weight.shape[2:], stride, padding, dilation)
    depth, windows = found.shape[2:]
    positions = len(images) // units * windows
    if groups == 1 and is_short(positions, filters, depth):
        left = gradients.reshape(units, -1, filters, windows).transpose(2, 3).reshape(units, positions, filters)
        right = found.reshape(units, -1, depth, windows).transpose(2, 3).reshape(units, positions, depth)
        matrix = factored(left, right)
        return Contribution(matrix.squares, lambda factors, total: matrix.add(factors, total.reshape(filters, depth)))
    left = gradients.reshape(-1, filters // groups, windows)
    each = torch.bmm(left, found.reshape(-1, depth, windows).transpose(1, 2))
    return dense(
        each.reshape(units, -1, *weight.shape).sum(1) if len(images) > units else each.reshape(units, *weight.shape)
    )
