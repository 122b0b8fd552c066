"""The random numbers that a program draws for each record: new ones in each chunk, from a generator of their own."""

import torch
from torch import Tensor

from datasites.training.data import UnitData, Units
from datasites.training.randomness import SecretStream
from policies.programs.format import Program

_DRAWN_FROM = {"normal": torch.randn, "uniform": torch.rand}
_BYTES = 4
_SEEDS = 2**53


class DrawingUnits:
    """Units whose records hold, after features and target, the values of a program's random nodes in their order.

    As many are drawn for a place without a record. What a program sees of its generator, which neither noise nor
    sampling uses, tells it nothing about either.
    """

    def __init__(self, data: Units, program: Program) -> None:
        self._data, self._draws = data, program.draws
        self._generator = torch.Generator().manual_seed(int(SecretStream().uniforms(1)[0] * _SEEDS))
        self._records = data.chunk(torch.empty(0, dtype=torch.int64), 0).mask.shape[1]

    def __len__(self) -> int:
        return len(self._data)

    @property
    def unit_bytes(self) -> int:
        return self._data.unit_bytes + self._records * sum(_BYTES * draw.size for draw in self._draws)

    def chunk(self, units: Tensor, size: int) -> UnitData:
        """The given units in the first places of `size`, as `Units.chunk`, beside what is drawn for each record."""
        found = self._data.chunk(units, size)
        drawn = [
            _DRAWN_FROM[draw.op]((*found.mask.shape, *draw.shape), generator=self._generator) for draw in self._draws
        ]
        return UnitData((*found.record, *drawn), found.mask)
