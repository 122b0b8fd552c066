"""The units of a snapshot behind an open descriptor: single rows are read as they are needed, none is held."""

import os
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasites.catalog.external_sort import read_exactly
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, parse_layout
from datasites.training.data import UnitData
from datasites.training.padded_reads import PaddedReads


class UnitFile:
    """One side of the split: `count` units from the file's unit `first` on, as `data.Units` describes them."""

    def __init__(self, descriptor: int, layout: SnapshotLayout, first: int, count: int) -> None:
        """Read from `descriptor`, a file of `layout`, which stays open."""
        self._descriptor, self._layout, self._first, self._count = descriptor, layout, first, count
        self._type = layout.unit_type
        self._padded = PaddedReads(layout.units, self._read)

    def __len__(self) -> int:
        return self._count

    @property
    def unit_bytes(self) -> int:
        # An image's values are handed on in four bytes each.
        more = 3 * prod(self._type["features"].shape) if self._layout.features == "image" else 0
        return self._type.itemsize + more

    def chunk(self, units: Tensor, size: int) -> UnitData:
        """The given units (their numbers) in the first places of `size`, the others without a record.

        They are read as `padded_reads` describes.

        Raises:
            EOFError: the file was cut off meanwhile.
        """
        rows = self._padded.rows(units.numpy() + self._first, size)
        features, target, mask = (rows[name].copy() for name in ("features", "target", "mask"))
        return UnitData((self._features(features), torch.from_numpy(target)), torch.from_numpy(mask))

    def _read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.empty(len(numbers), self._type)
        content, width = rows.view(np.uint8).data, self._type.itemsize
        for place, number in enumerate(numbers.tolist()):
            read_exactly(self._descriptor, content[place * width : (place + 1) * width], HEADER_BYTES + number * width)
        return rows

    def _features(self, kept: NDArray[Any]) -> Tensor:
        """As programs take them, or, texts, as the study's tokeniser does: an image's 0 to 255 become −1 to 1."""
        features = torch.from_numpy(kept)
        return features.float().mul_(2).div_(255).sub_(1) if self._layout.features == "image" else features


def open_units(descriptor: int) -> tuple[UnitFile, UnitFile]:
    """The training and the holdout units of the snapshot behind `descriptor`.

    Raises:
        CloisterError: it is no snapshot.
    """
    size = os.lseek(descriptor, 0, os.SEEK_END)  # the C library's fstat is a call that the trainer no longer has
    layout = parse_layout(os.pread(descriptor, HEADER_BYTES, 0), size)
    training = UnitFile(descriptor, layout, 0, layout.training_units)
    return training, UnitFile(descriptor, layout, layout.training_units, layout.holdout_units)
