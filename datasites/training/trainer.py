"""One site's training in one round: DP-SGD (Abadi et al. 2016) over a tensor program, one privacy unit at a time."""

from math import ceil

import torch
from torch import Tensor

from datasites.catalog.capacity import capacity
from datasites.tensor_programs.load import flatten, unflatten
from datasites.training.choice import TrainedLoss
from datasites.training.clipping import require_addable
from datasites.training.data import Units, padded_chunks, sample
from datasites.training.drawn import DrawingUnits
from datasites.training.optimizer import SecretNoiseOptimizer, TrainedParameter
from datasites.training.randomness import SecretStream
from datasites.training.workers import ALONE, Workers
from policies.terms import Training


def local_training(
    loss: TrainedLoss,
    model: Tensor,
    data: Units,
    training: Training,
    nominal_units: int,
    round_number: int,
    workers: Workers = ALONE,
) -> Tensor:
    """Take the `training.local_steps` noised steps of a round from `model`; the change: float64 [parameter_count],
    finite.

    Each step samples every unit with probability `sampling_rate`, sums gradients clipped to `clipping_norm`, adds
    noise, and divides by `sampling_rate` × `nominal_units`: public numbers, whatever the sample was. Padded places
    hide its size in the time. The optimiser forgets its momenta between rounds: they would be those of this site's own
    steps while the model has become everybody's, and a site that was restarted, or computes a round again, would
    otherwise release something of another distribution than one that was not.

    Args:
        model: the global model, float32 [parameter_count], parameters by name in C order.
        data: this worker's units.
        nominal_units: the manifest's public number of training units, those of all workers together.
        round_number: from 1; the learning rate depends on it.
        workers: who trains together; each returns the same change.

    Raises:
        InvalidInputError: a step has more units than can be added up.
    """
    start = unflatten(model, loss.program)
    trained = {name: TrainedParameter(torch.zeros_like(value, dtype=torch.float64)) for name, value in start.items()}
    optimizer = SecretNoiseOptimizer(
        list(trained.values()), training, training.sampling_rate * nominal_units, SecretStream()
    )
    sampling = SecretStream()
    changes = {name: parameter.detach() for name, parameter in trained.items()}
    values = {name: value.clone() for name, value in start.items()}
    places = capacity(ceil(nominal_units / workers.count), training.sampling_rate)
    drawing = DrawingUnits(data, loss.program)
    sums = loss.fitted(places, drawing.chunk(torch.arange(0), 1), training.clipping_norm)
    require_addable(workers.count * places)
    for learning_rate in training.learning_rates(round_number):
        optimizer.begin(learning_rate, list(values.values()))
        totals = {name: parameter.summed_grad for name, parameter in trained.items()}
        units = sample(sampling, len(data), training.sampling_rate)
        for chunk in padded_chunks(drawing, units, places, sums.units):
            sums.add(values, chunk, totals)
        workers.collect([*totals.values()])
        if workers.leads:
            optimizer.step()
        workers.follow(list(changes.values()))
        for name, change in changes.items():
            values[name].copy_(start[name] + change)
    return torch.nan_to_num(flatten(changes, loss.program))
