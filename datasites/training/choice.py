"""Which path computes the clipped sums of a study, and for how many units at a time: found for the sizes of its data.

Sizes are public: places for units, records kept of each, the form of a record. Both paths are recorded for them, cut to
the memory there is, and timed on random records; no record of anybody is read for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from datasites.tensor_programs.interpret import interpret
from datasites.training.data import UnitData, chunk_units
from datasites.training.layer_wise import layer_wise_sum
from datasites.training.layers import find_layers
from datasites.training.measuring import chunk_seconds
from datasites.training.per_unit import full_sum
from datasites.training.prepared import PreparedProgram
from datasites.training.recording import record
from datasites.training.tape import Form, Tape
from policies.errors import InvalidInputError
from policies.programs.format import Program
from policies.rules.training_rules import Gradients

_WORKSPACE = 1.25

Path = Literal["full", "layer-wise"]


@dataclass(frozen=True, eq=False)
class ClippedSums:
    """One path, recorded for chunks of `units` units."""

    path: Path
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
            found = self.recorded(places, unit, norm)
            seconds = partial(self._seconds, places=places, forms=_forms(unit), norm=norm)
            self._fitted[key] = found[0] if len(found) == 1 else min(found, key=seconds)
        return self._fitted[key]

    def recorded(self, places: int, unit: UnitData, norm: float) -> list[ClippedSums]:
        """Each path that may be taken, as `fitted` describes, for as many units at a time as fit into memory."""
        units = chunk_units(places, unit.unit_bytes)
        try:
            full = self._in_memory("full", _forms(unit), norm, units)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:  # on fake tensors: there is no data yet
            raise InvalidInputError(f"The loss program's gradient cannot be computed: {error}.") from error
        found = [it for it in (full, self._layer_wise(_forms(unit), norm, units)) if it is not None]
        if not found:
            raise InvalidInputError(
                f"The gradient of one unit needs more than the {self._memory_bytes} bytes that the site's trainer "
                "may use; use a smaller model, or ask the owner for a larger limit."
            )
        return found

    def _seconds(self, sums: ClippedSums, places: int, forms: Sequence[Form], norm: float) -> float:
        """What all places take on that path."""
        fewer = partial(self._tape, sums.path, forms, norm)
        return ceil(places / sums.units) * chunk_seconds(sums.tape, sums.units, fewer)

    def _layer_wise(self, forms: Sequence[Form], norm: float, units: int) -> ClippedSums | None:
        """That path, if it may be taken, and if shapes are as it takes them; the full one takes all that is allowed."""
        if self._gradients == "full" or not find_layers(self.program):
            return None
        try:
            return self._in_memory("layer-wise", forms, norm, units)
        except (RuntimeError, ValueError, IndexError):  # on fake tensors: there is no data yet
            return None

    def _in_memory(self, path: Path, forms: Sequence[Form], norm: float, units: int) -> ClippedSums | None:
        """The path for as many units at a time, up to `units`, as fit into memory."""
        while units:
            tape = self._tape(path, forms, norm, units)
            share = self._memory_bytes / (_WORKSPACE * max(1, tape.peak_bytes))
            if share >= 1:
                return ClippedSums(path, units, self._names, tuple(self._loss.constants.values()), tape)
            units = min(units - 1, int(units * share))
        return None

    def _tape(self, path: Path, forms: Sequence[Form], norm: float, units: int) -> Tape:
        """The path, recorded for `units` units."""
        add_sum = (
            partial(full_sum, interpret(self.program)) if path == "full" else partial(layer_wise_sum, self.program)
        )
        names, constants = self._names, self._loss.constants
        fixed = [Form(entry.shape, torch.float32) for entry in self.program.parameters]
        fixed += [Form(tuple(value.shape), value.dtype) for value in constants.values()]
        totals = [Form(entry.shape, torch.float64) for entry in self.program.parameters]

        def add(*values: Tensor) -> list[Tensor]:
            given = iter(values)
            parameters, fixed_values = ({name: next(given) for name in it} for it in (names, constants))
            *record, mask = (next(given) for _ in forms)
            sums = {name: next(given) for name in names}
            add_sum(parameters, fixed_values, UnitData(tuple(record), mask), norm, sums)
            return [*sums.values()]

        return record(add, *fixed, *(Form((units, *form.shape), form.dtype) for form in forms), *totals)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.program.parameters)


def _forms(unit: UnitData) -> tuple[Form, ...]:
    return tuple(Form(tuple(value.shape[1:]), value.dtype) for value in (*unit.record, unit.mask))
