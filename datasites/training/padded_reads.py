"""Reads that do not tell how many rows were wanted: as many are read whatever is, and the rest is forgotten."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.training.randomness import SecretStream


class PaddedReads:
    """The rows of one file of `count`, of which `read` reads those of the given numbers, each by a read of its own."""

    def __init__(self, count: int, read: Callable[[NDArray[np.int64]], NDArray[Any]]) -> None:
        self._count, self._read = count, read
        self._elsewhere = SecretStream()

    def rows(self, numbers: NDArray[np.int64], size: int) -> NDArray[Any]:
        """The rows of `numbers` in the first places of `size`, the others zero.

        There are `size` reads of one row whatever is wanted: for each other place, a row anywhere in the file is read
        and forgotten, so that neither the number of reads nor what the disk has at hand tells how many there are. A
        file without any row, such as that of a machine which was dealt nobody, has none to read.
        """
        wanted = len(numbers)
        padding = (self._elsewhere.uniforms(size - wanted if self._count else 0) * self._count).astype(np.int64)
        found = self._read(np.concatenate([numbers, padding]))
        rows = np.zeros(size, found.dtype)
        rows[:wanted] = found[:wanted]
        return rows
