"""A program in two parts: a prefix that no trained parameter reaches, computed once a record, and the rest of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasites.tensor_programs.frozen_part import find_cut, split_at, whole_record, worth_keeping
from datasites.tensor_programs.node_costs import node_costs
from datasites.training.cache_file import TAG_BYTES
from datasites.training.data import UnitData, Units, padded_chunks
from datasites.training.forward import Forward
from datasites.training.prepared import PreparedProgram, prepare_part
from policies.programs.check import Purpose
from policies.programs.format import Input, Program

_FILE_TYPES = {"float32": "<f4", "int64": "<i8", "bool": "|b1"}


@dataclass(frozen=True, eq=False)
class FrozenPrefix:
    """The part to compute once: (constants, features, target) → `values`; at most `chunk` units at a time.

    `places` is for how many units it is computed, a public number, however many there are; each has up to `records`.
    """

    forward: Forward
    constants: Mapping[str, Tensor]
    values: tuple[Input, ...]
    chunk: int
    places: int
    records: int

    @property
    def unit_type(self) -> np.dtype[Any]:
        """A unit's row: for each of its records, all values that cross; and a mask, 1 where there is a record."""
        fields = [
            (f"value{place}", _FILE_TYPES[value.dtype], (self.records, *value.shape))
            for place, value in enumerate(self.values)
        ]
        return np.dtype([*fields, ("mask", "?", (self.records,))])

    @property
    def cache_bytes(self) -> int:
        """What all its rows take in a `CacheFile`."""
        return self.places * (self.unit_type.itemsize + TAG_BYTES)

    def rows(self, data: Units) -> Iterator[NDArray[Any]]:
        """The rows of all units of `data` in their order, then rows without a record up to `places`.

        Each record is computed on its own, as if there were no other.
        """
        left = max(self.places, len(data))
        for chunk in padded_chunks(data, torch.arange(len(data)), self.places, self.chunk):
            rows = np.zeros(len(chunk), self.unit_type)
            rows["mask"] = chunk.mask.numpy()
            for place in range(self.records):
                for number, result in enumerate(self.forward(self.constants, chunk.at(place))):
                    rows[f"value{number}"][:, place] = result.numpy()
            yield rows[:left]
            left -= len(rows[:left])

    def unit_data(self, rows: NDArray[Any]) -> UnitData:
        """What is in rows of `rows` as the rest of the program takes it."""
        record = tuple(torch.from_numpy(rows[f"value{place}"].copy()) for place in range(len(self.values)))
        return UnitData(record, torch.from_numpy(rows["mask"].copy()))


def split(
    whole: PreparedProgram, *, places: int, otherwise: int, records: int, kind: Purpose, memory_bytes: int
) -> tuple[FrozenPrefix, PreparedProgram] | None:
    """The program's prefix and the rest of it, if a cache between them pays; else None.

    Args:
        places: for how many units the prefix is computed once.
        otherwise: for how many units it would be computed without a cache.
        records: the most records of a unit.
        memory_bytes: what one chunk of the rest may need.
    """
    costs = node_costs(whole.program)
    cut = find_cut(whole.program, costs)
    if cut is None or not worth_keeping(cut, costs, once=places, otherwise=otherwise):
        return None
    first, rest = split_at(whole.program, cut, costs)
    prefix = _prefix(whole, first, rest, places, records)
    return prefix, prepare_part(whole, rest, kind=kind, memory_bytes=memory_bytes)


def keep_record(whole: PreparedProgram, *, places: int, records: int) -> FrozenPrefix:
    """The prefix that gives the record as it is, for data that is costly to read itself."""
    first, rest = split_at(whole.program, whole_record(whole.program), node_costs(whole.program))
    return _prefix(whole, first, rest, places, records)


def _prefix(whole: PreparedProgram, first: Program, rest: Program, places: int, records: int) -> FrozenPrefix:
    crossing = tuple(entry for entry in rest.inputs if entry.kind == "feature")
    return FrozenPrefix(Forward(first), whole.constants, crossing, whole.chunk, places, records)
