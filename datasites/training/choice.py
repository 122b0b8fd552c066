"""Which path computes the clipped sums of a study, and for how many units at a time: found for the sizes of its data.

Sizes are public: places for units, records kept of each, the form of a record. Both paths are recorded for them, cut to
the memory there is, and timed on random records; no record of anybody is read for that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import torch
from torch import Tensor

from datasites.tensor_programs.interpret import interpret
from datasites.training.data import UnitData, chunk_units
from datasites.training.layer_wise import layer_wise_sum
from datasites.training.layers import find_layers
from datasites.training.per_unit import full_sum
from datasites.training.prepared import PreparedProgram
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.errors import InvalidInputError
from policies.programs.format import Program
from policies.rules.training_rules import Gradients

_WORKSPACE = 1.25
_RUNS = 5
_MOST_SECONDS = 2.0

Sum = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], UnitData, float, Mapping[str, Tensor]], None]
"""(parameters, constants, data, norm, the sums to add to)"""


@dataclass(frozen=True, eq=False)
class ClippedSums:
    """One path, recorded for chunks of `units` units."""

    path: str
    units: int
    parameters: tuple[str, ...]
    constants: tuple[Tensor, ...]
    tape: Tape

    def add(self, parameters: Mapping[str, Tensor], data: UnitData, sums: Mapping[str, Tensor]) -> None:
        """Add the gradients of `data`, exactly `units` of them, shortened to the norm, to `sums`.

        Args: sums: by parameter, contiguous float64 of its shape; written to in place.
        """
        if len(data) != self.units:
            raise ValueError(f"A chunk of {len(data)} units came where {self.units} are recorded.")
        given, totals = ([by_name[name] for name in self.parameters] for by_name in (parameters, sums))
        self.tape.replay(*given, *self.constants, *data.record, data.mask, *totals)


class TrainedLoss:
    """A study's loss as it is trained: prepared once, and fitted to the sizes of the data when these are known."""

    def __init__(self, loss: PreparedProgram, memory_bytes: int, gradients: Gradients) -> None:
        """Args: memory_bytes: what one chunk may need. gradients: what the house rules say about the path."""
        self._loss, self._memory_bytes, self._gradients = loss, memory_bytes, gradients
        self._fitted: dict[object, ClippedSums] = {}

    @property
    def program(self) -> Program:
        return self._loss.program

    def fitted(self, places: int, unit: UnitData, norm: float) -> ClippedSums:
        """The faster path for `places` units like `unit`, clipped to `norm`; the same at every call.

        Raises:
            InvalidInputError: not even one unit fits into memory.
        """
        key = places, _forms(unit), norm
        if key not in self._fitted:
            self._fitted[key] = _fastest(self.recorded(places, unit, norm), places)
        return self._fitted[key]

    def recorded(self, places: int, unit: UnitData, norm: float) -> list[ClippedSums]:
        """Each path that may be taken, as `fitted` describes, for as many units at a time as fit into memory."""
        units = chunk_units(places, unit.unit_bytes)
        full = self._recorded("full", partial(full_sum, interpret(self.program)), units, _forms(unit), norm)
        found = [it for it in (full, self._layer_wise(units, _forms(unit), norm)) if it is not None]
        if not found:
            raise InvalidInputError(
                f"The gradient of one unit needs more than the {self._memory_bytes} bytes that the site's trainer "
                "may use; use a smaller model, or ask the owner for a larger limit."
            )
        return found

    def _layer_wise(self, units: int, forms: Sequence[Form], norm: float) -> ClippedSums | None:
        """That path, if it may be taken, and if shapes are as it takes them; the full one takes all that is allowed."""
        if self._gradients == "full" or not find_layers(self.program):
            return None
        try:
            return self._recorded("layer-wise", partial(layer_wise_sum, self.program), units, forms, norm)
        except (RuntimeError, ValueError, IndexError):  # on fake tensors: there is no data yet
            return None

    def _recorded(self, name: str, path: Sum, units: int, forms: Sequence[Form], norm: float) -> ClippedSums | None:
        """The path for as many units at a time, up to `units`, as fit into memory."""
        names = tuple(entry.name for entry in self.program.parameters)
        constants = self._loss.constants
        fixed = [Form(entry.shape, torch.float32) for entry in self.program.parameters]
        fixed += [Form(tuple(value.shape), value.dtype) for value in constants.values()]
        totals = [Form(entry.shape, torch.float64) for entry in self.program.parameters]

        def add(*values: Tensor) -> list[Tensor]:
            given = iter(values)
            parameters, fixed_values = ({name: next(given) for name in it} for it in (names, constants))
            *record, mask = (next(given) for _ in forms)
            sums = {name: next(given) for name in names}
            path(parameters, fixed_values, UnitData(tuple(record), mask), norm, sums)
            return [*sums.values()]

        while units:
            tape = record(add, *fixed, *(Form((units, *form.shape), form.dtype) for form in forms), *totals)
            share = self._memory_bytes / (_WORKSPACE * max(1, tape.peak_bytes))
            if share >= 1:
                return ClippedSums(name, units, names, tuple(constants.values()), tape)
            units = min(units - 1, int(units * share))
        return None


def _fastest(found: Sequence[ClippedSums], places: int) -> ClippedSums:
    """The one that takes least time for all places, by the best of a few runs on random records."""
    if len(found) == 1:
        return found[0]
    arguments = [[_random(form) for form in it.tape.forms] for it in found]
    seconds: list[list[float]] = [[] for _ in found]
    began = time.monotonic()
    while len(seconds[0]) < _RUNS and (len(seconds[0]) < 2 or time.monotonic() - began < _MOST_SECONDS):
        for sums, taken, values in zip(found, seconds, arguments, strict=True):
            start = time.monotonic()
            sums.tape.replay(*values)
            taken.append(time.monotonic() - start)
    costs = [ceil(places / it.units) * min(taken[1:]) for it, taken in zip(found, seconds, strict=True)]
    return found[costs.index(min(costs))]


def _forms(unit: UnitData) -> tuple[Form, ...]:
    return tuple(Form(tuple(value.shape[1:]), value.dtype) for value in (*unit.record, unit.mask))


def _random(form: Form) -> Tensor:
    if form.dtype == torch.bool:
        return torch.ones(form.shape, dtype=torch.bool)
    if form.dtype == torch.int64:
        return torch.randint(2**15, form.shape)
    return 2 * torch.rand(form.shape, dtype=form.dtype) - 1
