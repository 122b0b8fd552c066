"""Randomness for sampling and noise: the operating system's generator expanded by AES-256-CTR, never seedable."""

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

_BLOCK = 2**17
_UNIT = 2.0**-53


class SecretStream:
    """One stream of secret random numbers under a fresh 256-bit key, which is kept nowhere."""

    def __init__(self) -> None:
        self._encryptor = Cipher(AES(os.urandom(32)), CTR(bytes(16))).encryptor()

    def __repr__(self) -> str:
        return "SecretStream()"

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """`count` independent uniform numbers in [0, 1): multiples of 2⁻⁵³."""
        top_bits = self._words(count) >> np.uint64(11)
        return top_bits.astype(np.float64) * _UNIT

    def bernoulli(self, count: int, probability: float) -> NDArray[np.bool_]:
        """`count` independent coins, each true with `probability` (rounded to 2⁻⁵³)."""
        return self.uniforms(count) < probability

    def normals(self, count: int) -> NDArray[np.float64]:
        """`count` independent standard normal numbers, by Box and Muller (1958) in float64; none beyond 8.6."""
        result = np.empty(count, np.float64)
        for start in range(0, count, 2 * _BLOCK):
            part = result[start : start + 2 * _BLOCK]
            pairs = (len(part) + 1) // 2
            radius = np.sqrt(-2.0 * np.log(1.0 - self.uniforms(pairs)))
            angle = 2.0 * np.pi * self.uniforms(pairs)
            part[:pairs] = radius * np.cos(angle)
            part[pairs:] = (radius * np.sin(angle))[: len(part) - pairs]
        return result

    def _words(self, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(self._encryptor.update(bytes(8 * count)), np.uint64)
