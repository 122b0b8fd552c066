"""The private data as the trainer holds it, and how it is cut into padded chunks of one public size."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor

from datasites.training.randomness import SecretStream

_HEADROOM = 1.25
_DEVIATIONS = 6


@dataclass(frozen=True, eq=False, repr=False)
class UnitData:
    """n units with up to k records of d features each.

    features: (n, k, d) float32; target: (n, k) float32 or int64; mask: (n, k) bool, True where there is a record.
    """

    features: Tensor
    target: Tensor
    mask: Tensor

    def chunk(self, units: Tensor, size: int) -> "UnitData":
        """The given units (their indices) in the first places of `size`, the others without a record."""
        features = self.features.new_zeros((size, *self.features.shape[1:]))
        target = self.target.new_zeros((size, *self.target.shape[1:]))
        mask = self.mask.new_zeros((size, *self.mask.shape[1:]))
        taken = len(units)
        features[:taken] = self.features[units]
        target[:taken] = self.target[units]
        mask[:taken] = self.mask[units]
        return UnitData(features, target, mask)


def capacity(nominal_units: int, sampling_rate: float) -> int:
    """Places for units in a padded batch, from public numbers alone.

    The catalog admits up to 1.25 × the nominal number of units. Coins say whether one of them is on this side of the
    split, and in the sample: their sum has a variance below its mean, and hardly ever exceeds that by six deviations.
    """
    mean = _HEADROOM * nominal_units * sampling_rate
    return max(1, ceil(mean + _DEVIATIONS * sqrt(mean)))


def sample(stream: SecretStream, units: int, sampling_rate: float) -> Tensor:
    """Indices of a Poisson sample: every unit independently with probability `sampling_rate`."""
    return torch.from_numpy(stream.bernoulli(units, sampling_rate).nonzero()[0])


def padded_chunks(data: UnitData, units: Tensor, places: int, most: int) -> Iterator[UnitData]:
    """Cut `units` into chunks of min(`places`, `most`) places, as many as `places` need even if `units` are fewer.

    So the work does not tell how many were sampled. More units than `places` take whole further rounds of `places`.
    """
    size = min(places, most)
    total = places * max(1, ceil(len(units) / places))
    for start in range(0, total, size):
        yield data.chunk(units[start : start + size], size)
