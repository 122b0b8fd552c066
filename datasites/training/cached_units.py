"""Units of which a frozen prefix was computed once: what crosses into the rest of the program is read from a cache."""

from torch import Tensor

from datasites.training.cache_file import CacheFile
from datasites.training.data import UnitData, Units
from datasites.training.frozen_prefix import FrozenPrefix
from datasites.training.padded_reads import PaddedReads


class CachedUnits:
    """One side of the split, as `data.Units` describes it; its records are the values that cross."""

    def __init__(self, data: Units, prefix: FrozenPrefix, descriptor: int, first_byte: int) -> None:
        """Compute the prefix of all units and write it to the file `descriptor` from `first_byte` on.

        It is computed for `prefix.places` units whatever their number is, and the places of the others are filled.
        """
        self._count, self._prefix = len(data), prefix
        self._type = prefix.unit_type
        self._file = CacheFile(descriptor, first_byte, self._type)
        for rows in prefix.rows(data):
            self._file.append(rows)
        self._padded = PaddedReads(len(self._file), self._file.read)

    def __len__(self) -> int:
        return self._count

    @property
    def unit_bytes(self) -> int:
        return self._type.itemsize

    @property
    def end(self) -> int:
        """The first byte of the file behind these units."""
        return self._file.end

    def chunk(self, units: Tensor, size: int) -> UnitData:
        """The given units (their numbers) in the first places of `size`, the others without a record.

        They are read as `padded_reads` describes.

        Raises:
            NotAuthenticError: the cache was changed.
        """
        return self._prefix.unit_data(self._padded.rows(units.numpy(), size))
