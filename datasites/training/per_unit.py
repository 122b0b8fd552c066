"""The full path to a clipped sum: every unit's whole gradient, of whatever program, measured and summed as it is."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad, vmap

from datasites.tensor_programs.interpret import Interpreted
from datasites.training.clipping import beside
from datasites.training.contributions import add_clipped, dense
from datasites.training.data import UnitData


def full_sum(
    run: Interpreted,
    parameters: Mapping[str, Tensor],
    constants: Mapping[str, Tensor],
    data: UnitData,
    norm: float,
    sums: Mapping[str, Tensor],
) -> None:
    """Add to `sums`, float64 by parameter, the gradient of each unit's summed loss, shortened to `norm`.

    The program sees one record at a time (`vmap(grad(...))`), so no record can speak through another's. A unit with a
    record whose gradient is not finite contributes zero.
    """

    def record_loss(trained: dict[str, Tensor], record: tuple[Tensor, ...]) -> Tensor:
        return run({**constants, **trained}, *record)[0]

    record_gradients = vmap(grad(record_loss), in_dims=(None, 0))
    gradients = dict[str, Tensor]()
    for place in range(data.mask.shape[1]):
        present = data.mask[:, place]
        for name, gradient in record_gradients(dict(parameters), data.at(place)).items():
            kept = torch.where(beside(present, gradient), gradient, 0.0)
            gradients[name] = gradients[name] + kept if place else kept
    add_clipped({name: dense(gradient) for name, gradient in gradients.items()}, norm, data.mask.any(1), sums)
