"""A model's metrics on holdout units, as noised sums: a release like any other."""

from collections.abc import Mapping
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from datasites.tensor_programs.load import unflatten
from datasites.training.data import UnitData, Units, capacity, padded_chunks
from datasites.training.prepared import PreparedProgram
from datasites.training.randomness import SecretStream
from policies.terms import Evaluation


def local_evaluation(
    metrics: PreparedProgram, model: Tensor, data: Units, evaluation: Evaluation, nominal_units: int
) -> NDArray[np.float64]:
    """For each metric of the terms, in their order, noised Σ v and Σ (1 − v) over units: float64 [2 × metrics].

    v is a unit's mean over its records of the metric, clipped to [0, 1] (not finite counts as 0). A unit moves the
    sums by at most √metrics, as v² + (1 − v)² ≤ 1; the noise has standard deviation `noise_multiplier` × √metrics.
    The ratio of the two sums is the average without a private count.
    """
    values = {**metrics.constants, **unflatten(model, metrics.program)}
    names = evaluation.metrics
    sums = torch.zeros((len(names), 2), dtype=torch.float64)
    everybody = torch.arange(len(data))
    for chunk in padded_chunks(data, everybody, capacity(nominal_units, 1.0), metrics.chunk):
        means = _unit_means(metrics, values, chunk, names)
        present = chunk.mask.any(1, keepdim=True)
        sums[:, 0] += torch.where(present, means, 0.0).sum(0)
        sums[:, 1] += torch.where(present, 1 - means, 0.0).sum(0)
    noise = SecretStream().normals(2 * len(names))
    result: NDArray[np.float64] = sums.flatten().numpy() + evaluation.noise_multiplier * sqrt(len(names)) * noise
    return result


def _unit_means(
    metrics: PreparedProgram, values: Mapping[str, Tensor], data: UnitData, names: tuple[str, ...]
) -> Tensor:
    """Each unit's mean of each metric over its records, in [0, 1]: (units, metrics) float64."""
    order = [metrics.program.output_names.index(name) for name in names]
    on_records = vmap(metrics.run, in_dims=(None, *[0] * len(data.record)))
    totals = torch.zeros((len(data.mask), len(names)), dtype=torch.float64)
    for place in range(data.mask.shape[1]):
        results = on_records(values, *data.at(place))
        measured = torch.stack([results[position] for position in order], 1).double()
        clipped = torch.where(measured.isfinite(), measured, 0.0).clamp(0.0, 1.0)
        totals += torch.where(data.mask[:, place, None], clipped, 0.0)
    return totals / data.mask.sum(1, keepdim=True).clamp(min=1)
