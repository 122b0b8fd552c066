"""Gradients per privacy unit: each record's on its own, summed over the unit, bounded whatever the program computes."""

import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.training.data import UnitData
from datasites.training.prepared import PreparedProgram

_ROUNDING = 1e-6


def unit_gradients(
    loss: PreparedProgram, parameters: dict[str, Tensor], data: UnitData, norm: float
) -> dict[str, Tensor]:
    """The gradient of each unit's summed loss, by parameter: (units, *shape of the parameter) float32.

    The program sees one record at a time (`vmap(grad(...))`), so no record can speak through another's. A unit with a
    record whose gradient is not finite contributes zero: otherwise one record could turn the whole release into NaN.
    A unit's gradient longer than `norm` is shortened to it. Norms are taken in float64 of the gradient itself: sums
    of squares in float32, or norms derived from Gram matrices, can be driven below the truth by a crafted program.
    """

    def record_loss(trained: dict[str, Tensor], record: tuple[Tensor, ...]) -> Tensor:
        return loss.run({**loss.constants, **trained}, *record)[0]

    record_gradients = vmap(grad(record_loss), in_dims=(None, 0))
    units, records = data.mask.shape
    sums = {name: torch.zeros((units, *value.shape)) for name, value in parameters.items()}
    for place in range(records):
        gradients = record_gradients(parameters, data.at(place))
        present = data.mask[:, place]
        for name, gradient in gradients.items():
            sums[name] += torch.where(_beside(present, gradient), gradient, 0.0)
    return _bounded(sums, norm)


def _bounded(gradients: dict[str, Tensor], norm: float) -> dict[str, Tensor]:
    finite = torch.stack([gradient.flatten(1).isfinite().all(1) for gradient in gradients.values()]).all(0)
    kept = {name: torch.where(_beside(finite, gradient), gradient, 0.0) for name, gradient in gradients.items()}
    squares = torch.stack([gradient.flatten(1).double().square().sum(1) for gradient in kept.values()]).sum(0)
    factors = (norm * (1 - _ROUNDING) / squares.sqrt()).clamp(max=1.0)
    return {name: (gradient * _beside(factors, gradient)).float() for name, gradient in kept.items()}


def _beside(per_unit: Tensor, values: Tensor) -> Tensor:
    """Shape (units,) → (units, 1, …), so that it broadcasts against `values`."""
    return per_unit.reshape(-1, *[1] * (values.ndim - 1))
