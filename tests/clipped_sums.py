"""What each unit adds to a clipped sum, found as the trainer computes it: with all other units of the chunk away."""

from collections.abc import Mapping

import torch
from torch import Tensor

from datasites.training.choice import ClippedSums, TrainedLoss
from datasites.training.data import UnitData
from datasites.training.prepared import prepare_program
from policies.programs.format import Program
from policies.rules.training_rules import Gradients

MEMORY_BYTES = 2**30


def trained_loss(program: Program, values: Mapping[str, Tensor], gradients: Gradients = "automatic") -> TrainedLoss:
    """The loss as a study has it."""
    loss = prepare_program(program, kind="loss", values=values, memory_bytes=MEMORY_BYTES)
    return TrainedLoss(loss, MEMORY_BYTES, gradients)


def recorded(loss: TrainedLoss, data: UnitData, norm: float, path: str) -> ClippedSums:
    """One path, for chunks of as many units as `data` has; the full one for a program without layers."""
    found = {it.path: it for it in loss.recorded(len(data), data, norm)}
    return found.get(path, found["full"])


def summed(sums: ClippedSums, values: Mapping[str, Tensor], data: UnitData) -> dict[str, Tensor]:
    """The clipped sum over all units of `data`, float64 by parameter."""
    totals = {name: torch.zeros(values[name].shape, dtype=torch.float64) for name in sums.parameters}
    sums.add(values, data, totals)
    return totals


def contributions(sums: ClippedSums, values: Mapping[str, Tensor], data: UnitData) -> dict[str, Tensor]:
    """The contribution of each unit, by parameter: [units, …]."""
    alone = []
    for unit in range(len(data)):
        only = torch.arange(len(data))[:, None] == unit
        alone.append(summed(sums, values, UnitData(data.record, data.mask & only)))
    return {name: torch.stack([it[name] for it in alone]) for name in sums.parameters}
