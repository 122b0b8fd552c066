"""The private data as the trainer holds it, and how it is cut into padded chunks of one public size."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from datasites.training.randomness import SecretStream

_CHUNK_BYTES = 2**24
_COINS_AT_A_TIME = 2**20


class Units(Protocol):
    """Units of one side of the split, wherever they lie; `unit_bytes` is what one of them takes, a public number."""

    def __len__(self) -> int: ...

    @property
    def unit_bytes(self) -> int: ...

    def chunk(self, units: Tensor, size: int) -> "UnitData":
        """The given units (their numbers) in the first places of `size`, the others without a record."""


@dataclass(frozen=True, eq=False, repr=False)
class UnitData:
    """n units with up to k records each.

    record: what a program takes of one record, each (n, k, *its shape): features and target, or what a part of the
        program made of them. mask: (n, k) bool, True where there is a record.
    """

    record: tuple[Tensor, ...]
    mask: Tensor

    def __len__(self) -> int:
        return len(self.mask)

    @property
    def features(self) -> Tensor:
        """(n, k, *shape of the features)."""
        return self.record[0]

    @property
    def target(self) -> Tensor:
        """(n, k, *shape of the target)."""
        return self.record[1]

    @property
    def unit_bytes(self) -> int:
        return sum(value.element_size() * prod(value.shape[1:]) for value in (*self.record, self.mask))

    def at(self, place: int) -> tuple[Tensor, ...]:
        """Each unit's record number `place`: each (n, *its shape)."""
        return tuple(value[:, place] for value in self.record)

    def chunk(self, units: Tensor, size: int) -> "UnitData":
        """The given units (their indices) in the first places of `size`, the others without a record."""
        return UnitData(tuple(_padded(value, units, size) for value in self.record), _padded(self.mask, units, size))


def sample(stream: SecretStream, units: int, sampling_rate: float) -> Tensor:
    """Indices of a Poisson sample: every unit independently with probability `sampling_rate`.

    They stand in an order drawn by lot, for the reason that `datasites.training.clipping` gives.
    """
    parts = [
        start + stream.bernoulli(min(_COINS_AT_A_TIME, units - start), sampling_rate).nonzero()[0]
        for start in range(0, max(1, units), _COINS_AT_A_TIME)
    ]
    chosen = np.concatenate(parts)
    return torch.from_numpy(chosen[np.argsort(stream.uniforms(len(chosen)))])


def chunk_units(places: int, unit_bytes: int) -> int:
    """How many of `places` units at most are taken at a time, of `unit_bytes` each."""
    return min(places, max(1, _CHUNK_BYTES // unit_bytes))


def padded_chunks(data: Units, units: Tensor, places: int, most: int) -> Iterator[UnitData]:
    """Cut `units` into chunks of one size, as many as `places` need even if `units` are fewer.

    The size is that of `chunk_units`, but at most `most`. So the work does not tell how many were sampled. More units
    than `places` take whole further rounds of `places`.
    """
    size = min(chunk_units(places, data.unit_bytes), most)
    total = places * max(1, ceil(len(units) / places))
    for start in range(0, total, size):
        yield data.chunk(units[start : start + size], size)


def _padded(values: Tensor, units: Tensor, size: int) -> Tensor:
    padded = values.new_zeros((size, *values.shape[1:]))
    padded[: len(units)] = values[units]
    return padded
