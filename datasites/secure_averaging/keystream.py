"""Keystreams: AES-256 in counter mode (NIST SP 800-38A) as a stream of uniform 32-bit numbers."""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

BLOCK_NUMBERS = 32 * 1024
"""How many numbers to work on at a time (128 KiB): a block of values, its keystream and the zeros stay in L2 cache."""

_ZEROS = memoryview(bytes(4 * BLOCK_NUMBERS))


class Keystream:
    """The numbers that one 32-byte key expands to, in order. A key serves one stream, so the counter starts at 0."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"a keystream key has 32 bytes, this one has {len(key)}")
        self._encryptor = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def fill(self, block: NDArray[np.uint32]) -> None:
        """Overwrite `block` (at most `BLOCK_NUMBERS`, contiguous) with the next numbers of the stream."""
        self._encryptor.update_into(_ZEROS[: block.nbytes], block.view(np.uint8).data)
