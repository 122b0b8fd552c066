"""The full path to a clipped sum: every unit's whole gradient, of whatever program, measured and summed as it is."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import Interpreted
from datasites.training.clipping import beside, clipping_factors, squared_lengths, weighted_sum
from datasites.training.data import UnitData


def full_sum(
    run: Interpreted, parameters: Mapping[str, Tensor], constants: Mapping[str, Tensor], data: UnitData, norm: float
) -> dict[str, Tensor]:
    """The sum over units of the gradient of each unit's summed loss, shortened to `norm` where it is longer.

    The program sees one record at a time (`vmap(grad(...))`), so no record can speak through another's. A unit with a
    record whose gradient is not finite contributes zero.
    """

    def record_loss(trained: dict[str, Tensor], record: tuple[Tensor, ...]) -> Tensor:
        return run({**constants, **trained}, *record)[0]

    record_gradients = vmap(grad(record_loss), in_dims=(None, 0))
    sums = dict[str, Tensor]()
    for place in range(data.mask.shape[1]):
        present = data.mask[:, place]
        for name, gradient in record_gradients(dict(parameters), data.at(place)).items():
            kept = torch.where(beside(present, gradient), gradient, 0.0)
            sums[name] = sums[name] + kept if place else kept
    return clipped(sums, norm, data.mask.any(1))


def clipped(gradients: Mapping[str, Tensor], norm: float, present: Tensor) -> dict[str, Tensor]:
    """The sum of the units' gradients [units, …], each shortened to `norm`, of those that are `present`."""
    squares = [squared_lengths(gradient) for gradient in gradients.values()]
    coordinates = sum(gradient[0].numel() for gradient in gradients.values())
    factors = clipping_factors(squares, coordinates, norm, present)
    return {name: weighted_sum(gradient, factors) for name, gradient in gradients.items()}
