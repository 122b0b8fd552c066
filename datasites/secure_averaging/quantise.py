"""The quantiser: from floats to integers modulo 2³² whose sums are exact, and back to a weighted average."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.keystream import BLOCK_NUMBERS, Keystream
from policies.errors import NotAuthenticError
from policies.quantiser import levels


@dataclass(frozen=True)
class Quantiser:
    """Signed integers of `bits` bits over the public range ±`value_range`.

    Values are clipped one by one and rounded up or down at random, so that the expected result is the clipped value.
    Sums wrap nowhere while (sum of weights) × 2^(bits − 1) ≤ 2³¹, which `Terms` checks for updates.
    """

    bits: int
    value_range: float

    @property
    def levels(self) -> int:
        """The integer that `value_range` becomes."""
        return levels(self.bits)

    def require_reach(self, total: NDArray[np.uint32], total_weight: int) -> None:
        """Check that `total` can be a sum modulo 2³² of vectors whose weights add up to `total_weight`.

        Raises:
            NotAuthenticError: it lies outside what such vectors can reach, so some masks did not cancel.
        """
        signed = total.view(np.int32)
        reach = self.levels * total_weight
        if total.size and (int(signed.max()) > reach or int(signed.min()) < -reach):
            raise NotAuthenticError(
                "The sum does not open: its masks did not cancel. A site answered for another roster or global model; "
                "start a new run, and if it happens again ask each site for its log."
            )

    def dequantise(self, total: NDArray[np.uint32], total_weight: int) -> NDArray[np.float64]:
        """The weighted average behind `total`, a sum (or a block of one) that `require_reach` let pass."""
        return np.multiply(
            total.view(np.int32), self.value_range / self.levels / total_weight, dtype=np.float64, casting="safe"
        )


class Rounding:
    """Quantises one vector times its `weight`, block by block, with work arrays and randomness of its own.

    The rounding's randomness is 32 bits a coordinate, AES-256-CTR under a key drawn from the operating system for this
    vector alone: the chance of rounding up is right to 2⁻²⁸. How the vector is cut into blocks changes nothing.
    """

    def __init__(self, quantiser: Quantiser, weight: int) -> None:
        self._levels = float(quantiser.levels)
        self._scale_times_2_32 = quantiser.levels / quantiser.value_range * 2.0**32
        self._weight = weight
        self._keystream = Keystream(os.urandom(32))
        self._random_bits = np.empty(BLOCK_NUMBERS, "<u4")
        self._scaled = np.empty(BLOCK_NUMBERS)

    def quantise(self, values: NDArray[np.float64], block: NDArray[np.int32]) -> None:
        """Clip, round and weigh the next `values` (finite, at most `BLOCK_NUMBERS`) into `block`, of the same size."""
        random_bits, scaled = self._random_bits[: values.size], self._scaled[: values.size]
        self._keystream.fill(random_bits)
        # ⌊x · scale + u · 2⁻³²⌋, with the powers of two (which round nothing) where they cost one pass and one array.
        np.copyto(scaled, values)
        with np.errstate(over="ignore"):
            scaled *= self._scale_times_2_32
        np.add(scaled, random_bits, out=scaled)
        scaled *= 2.0**-32
        np.floor(scaled, out=scaled)
        np.clip(scaled, -self._levels, self._levels, out=scaled)
        np.copyto(block, scaled, casting="unsafe")
        if self._weight != 1:
            block *= np.int32(self._weight)
