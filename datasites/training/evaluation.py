"""A model's metrics and score histograms on holdout units, as noised sums: a release like any other."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasites.catalog.capacity import capacity
from datasites.tensor_programs.load import unflatten
from datasites.training.data import Units, padded_chunks
from datasites.training.histograms import histogram
from datasites.training.prepared import PreparedProgram
from datasites.training.randomness import SecretStream
from datasites.training.workers import ALONE, Workers
from policies.terms import Evaluation

_STEPS = 2.0**24


def local_evaluation(
    metrics: PreparedProgram,
    model: Tensor,
    data: Units,
    evaluation: Evaluation,
    nominal_units: int,
    workers: Workers = ALONE,
) -> NDArray[np.float64]:
    """Noised sums over units of what each contributes, in the order of the terms: float64 [evaluation.counts].

    For each metric, Σ v and Σ (1 − v): v is a unit's mean over its records of the metric, clipped to [0, 1] (not finite
    counts as 0). For each histogram, label 0's bins and then label 1's: a unit adds the mean over its records of their
    places, each a vector with a single 1 (see `histogram`). The ratio of a metric's two sums is the average without a
    private count.

    A unit moves the sums by at most √(metrics + histograms) in length: v² + (1 − v)² ≤ 1 for each metric, and a mean of
    vectors of length 1 is no longer than 1. The noise's standard deviation is `noise_multiplier` times that. What a
    unit adds is rounded down to multiples of 2⁻²⁴, whose sums float64 holds exactly for all the units there can be: so
    one unit more changes no other's part by rounding.

    Args:
        data: this worker's units.
        nominal_units: the public number of holdout units, those of all workers together.
        workers: who measures together; the leader returns the sums over all, noised once, and the others zeros.
    """
    values = {**metrics.constants, **unflatten(model, metrics.program)}
    everybody = torch.arange(len(data))
    sums = torch.zeros(evaluation.counts, dtype=torch.float64)
    places = capacity(ceil(nominal_units / workers.count), 1.0)
    for chunk in padded_chunks(data, everybody, places, metrics.chunk):
        records = chunk.mask.sum(1, keepdim=True).clamp(min=1).double()
        totals = torch.zeros((len(chunk), len(evaluation.metrics)), dtype=torch.float64)
        for place in range(chunk.mask.shape[1]):
            results = dict(zip(metrics.program.output_names, metrics.forward(values, chunk.at(place)), strict=True))
            present = chunk.mask[:, place, None]
            totals += present * _clipped([results[name] for name in evaluation.metrics])
            shares = _rounded_down(present / records).squeeze(1)
            sums[2 * len(evaluation.metrics) :] += _histograms(results, shares, evaluation)
        averages = _rounded_down(totals / records)
        means = torch.stack([averages, 1 - averages], 2).flatten(1)
        sums[: means.shape[1]] += (chunk.mask.any(1, keepdim=True) * means).sum(0)
    workers.collect([sums])
    if not workers.leads:
        return np.zeros(evaluation.counts)
    noise = SecretStream().normals(evaluation.counts)
    noised: NDArray[np.float64] = sums.numpy() + evaluation.noise_deviation * noise
    return noised


def _clipped(measured: Sequence[Tensor]) -> Tensor:
    values = torch.stack(list(measured), 1).double()
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).clamp(0.0, 1.0)


def _rounded_down(values: Tensor) -> Tensor:
    return (values * _STEPS).floor() / _STEPS


def _histograms(results: Mapping[str, Tensor], shares: Tensor, evaluation: Evaluation) -> Tensor:
    found = [
        histogram(results[score], results[label], shares, it.bins)
        for it in evaluation.histograms
        for score, label in (it.outputs,)
    ]
    return torch.cat([torch.zeros(0, dtype=torch.float64), *found])
