"""The quantiser: from floats to integers modulo 2³² whose sums are exact, and back to a weighted average."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.secure_averaging.keystream import BLOCK_NUMBERS, Keystream
from policies.errors import InvalidInputError, NotAuthenticError


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
        """The integer that `value_range` becomes; the scale is symmetric, so that clipping has no bias."""
        return (1 << (self.bits - 1)) - 1

    def quantise(self, values: NDArray[np.float32] | NDArray[np.float64], weight: int) -> NDArray[np.uint32]:
        """Clip, round and weigh `values` (one dimension); negative numbers are stored modulo 2³².

        The rounding's randomness is 32 bits a coordinate, AES-256-CTR under a key drawn from the operating system for
        this call alone: the chance of rounding up is right to 2⁻²⁸.

        Raises:
            InvalidInputError: a value is not finite.
        """
        quantised = np.empty(values.size, np.int32)
        random_bits = np.empty(BLOCK_NUMBERS, "<u4")
        work = np.empty(BLOCK_NUMBERS, np.float64)
        scale = self.levels / self.value_range
        keystream = Keystream(os.urandom(32))
        for start in range(0, values.size, BLOCK_NUMBERS):
            block = values[start : start + BLOCK_NUMBERS]
            if not bool(np.isfinite(block).all()):
                raise InvalidInputError("The vector to share holds values that are not finite; expected numbers only.")
            keystream.fill(random_bits[: block.size])
            dither, scaled = random_bits[: block.size], work[: block.size]
            np.multiply(dither, 2.0**-32, out=scaled)
            with np.errstate(over="ignore"):
                scaled += np.multiply(block, scale, dtype=np.float64)
            np.floor(scaled, out=scaled)
            np.clip(scaled, -self.levels, self.levels, out=scaled)
            np.multiply(scaled, weight, out=scaled)
            quantised[start : start + BLOCK_NUMBERS] = scaled
        return quantised.view(np.uint32)

    def dequantise(self, total: NDArray[np.uint32], total_weight: int) -> NDArray[np.float64]:
        """The weighted average behind `total`, the sum modulo 2³² of vectors whose weights add up to `total_weight`.

        Raises:
            NotAuthenticError: the sum lies outside what such vectors can reach, so some masks did not cancel.
        """
        signed = total.view(np.int32)
        reach = self.levels * total_weight
        if total.size and (int(signed.max()) > reach or int(signed.min()) < -reach):
            raise NotAuthenticError(
                "The sum does not open: its masks did not cancel. A site answered for another roster or global model; "
                "start a new run, and if it happens again ask each site for its log."
            )
        return np.multiply(signed, self.value_range / self.levels / total_weight, dtype=np.float64)
