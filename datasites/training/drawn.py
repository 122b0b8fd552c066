"""The random numbers that a program draws for each record: new ones in each chunk, from a stream of their own."""

from math import prod

import numpy as np
import torch
from torch import Tensor

from datasites.training.data import UnitData, Units
from datasites.training.randomness import SecretStream
from policies.programs.format import Program

_BYTES = 4
_AT_A_TIME = 2**18
_BELOW_ONE = np.float32(1 - 2.0**-24)


class DrawingUnits:
    """Units whose records hold, after features and target, the values of a program's random nodes in their order.

    As many are drawn for a place without a record. They come from a `SecretStream` that neither noise nor sampling
    uses, so what a program sees of it tells nothing about either. Nor may they be guessed: they belong to places, so
    one unit more or less moves what all later units are given, in sum by more than that unit may move anything. Only
    because they are as good as independent of everything else is it all the same which of them a unit is given.
    """

    def __init__(self, data: Units, program: Program) -> None:
        self._data, self._draws = data, program.draws
        self._stream = SecretStream()
        self._records = data.chunk(torch.empty(0, dtype=torch.int64), 0).mask.shape[1]

    def __len__(self) -> int:
        return len(self._data)

    @property
    def unit_bytes(self) -> int:
        return self._data.unit_bytes + self._records * sum(_BYTES * draw.size for draw in self._draws)

    def chunk(self, units: Tensor, size: int) -> UnitData:
        """The given units in the first places of `size`, as `Units.chunk`, beside what is drawn for each record."""
        found = self._data.chunk(units, size)
        drawn = [self._drawn(draw.op, (*found.mask.shape, *draw.shape)) for draw in self._draws]
        return UnitData((*found.record, *drawn), found.mask)

    def _drawn(self, law: str, shape: tuple[int, ...]) -> Tensor:
        """Numbers of `law` in float32; a uniform one that would round up to 1 stays below."""
        values = np.empty(prod(shape), np.float32)
        for start in range(0, len(values), _AT_A_TIME):
            part = values[start : start + _AT_A_TIME]
            if law == "normal":
                part[:] = self._stream.normals(len(part))
            else:
                part[:] = self._stream.uniforms(len(part))
                np.minimum(part, _BELOW_ONE, out=part)
        return torch.from_numpy(values).reshape(shape)
