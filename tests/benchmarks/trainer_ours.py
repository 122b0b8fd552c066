"""One step's gradients by a site's trainer: a plan exported, loaded and prepared as there, without noise."""

from collections.abc import Mapping

import torch
from torch import Tensor

from datasites.tensor_programs.load import load_parameters
from datasites.training.choice import TrainedLoss
from datasites.training.data import UnitData, padded_chunks
from datasites.training.prepared import prepare_program
from policies.programs.format import parse_program
from researcher.export import export
from tests.benchmarks.trainer_models import Model
from tests.benchmarks.trainer_peers import NORM, Step

_MEMORY_BYTES = 2 << 30
"""As a datasite gives its trainer for one chunk."""


def cloister(model: Model) -> Step:
    """The sum over the batch of gradients shortened to `NORM`, one record a unit."""
    exported = export(model.plan, model.record)
    program = parse_program(exported.loss.canonical())
    values = load_parameters(exported.parameters, program, maximum_bytes=_MEMORY_BYTES)
    prepared = prepare_program(program, kind="loss", values=values, memory_bytes=_MEMORY_BYTES)
    loss = TrainedLoss(prepared, _MEMORY_BYTES, "automatic")
    parameters = {entry.name: values[entry.name] for entry in program.parameters}
    data = UnitData(tuple(it.unsqueeze(1) for it in model.draw()), torch.ones(model.batch, 1, dtype=torch.bool))
    everybody = torch.arange(model.batch)
    sums = loss.fitted(model.batch, data, NORM)

    def step() -> Mapping[str, Tensor]:
        total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for chunk in padded_chunks(data, everybody, model.batch, sums.units):
            for name, found in sums.of(parameters, chunk).items():
                total[name] += found
        return total

    return step
