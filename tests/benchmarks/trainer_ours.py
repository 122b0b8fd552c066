"""One step's gradients by a site's trainer: a plan exported, loaded and prepared as there, without noise."""

import os
import tempfile
from collections.abc import Mapping

import torch
from torch import Tensor

from datasites.tensor_programs.load import load_parameters
from datasites.training.cached_units import CachedUnits
from datasites.training.choice import TrainedLoss
from datasites.training.clipping import SHARE
from datasites.training.data import UnitData, Units, padded_chunks
from datasites.training.frozen_prefix import split
from datasites.training.prepared import prepare_program
from policies.programs.format import parse_program
from researcher.export import export
from tests.benchmarks.trainer_models import Model
from tests.benchmarks.trainer_peers import NORM, Step

_MEMORY_BYTES = 2 << 30
"""As a datasite gives its trainer for one chunk."""

_STEPS = 100
"""How many steps a record is in, as a study's terms tell: enough of them, and its frozen part is computed once."""


def cloister(model: Model) -> Step:
    """The sum over the batch of gradients shortened to `NORM`, one record a unit; what is kept is read in each step.

    As in a round, every step takes the same memory for its sums; the first one finds it.
    """
    exported = export(model.plan, model.record)
    program = parse_program(exported.loss.canonical())
    values = load_parameters(exported.parameters, program, maximum_bytes=_MEMORY_BYTES)
    loss = prepare_program(program, kind="loss", values=values, memory_bytes=_MEMORY_BYTES)
    data: Units = UnitData(tuple(it.unsqueeze(1) for it in model.draw()), torch.ones(model.batch, 1, dtype=torch.bool))
    parts = split(
        loss, places=model.batch, otherwise=_STEPS * model.batch, records=1, kind="loss", memory_bytes=_MEMORY_BYTES
    )
    if parts is not None:
        prefix, loss = parts
        cache = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)  # closed when the process ends
        data = CachedUnits(data, prefix, cache, 0)
    everybody = torch.arange(model.batch)
    sums = TrainedLoss(loss, _MEMORY_BYTES, "automatic").fitted(model.batch, data.chunk(everybody[:0], 1), NORM / SHARE)
    parameters = {name: values[name] for name in sums.parameters}
    totals: dict[str, Tensor] = {}

    def step() -> Mapping[str, Tensor]:
        for name, value in parameters.items():
            if name in totals:
                totals[name].zero_()
            else:
                totals[name] = torch.zeros(value.shape, dtype=torch.float64)
        for chunk in padded_chunks(data, everybody, model.batch, sums.units):
            sums.add(parameters, chunk, totals)
        return totals

    return step
