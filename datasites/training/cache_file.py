"""Rows on disk that only this process can read: each encrypted and authenticated under a key that is kept in memory."""

import os
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from datasites.catalog.external_sort import read_exactly, write_all
from policies.errors import NotAuthenticError

TAG_BYTES = 16
"""By how much a row is longer on disk."""

_NONCE_BYTES = 12


class CacheFile:
    """Rows of one type in a stretch of an open file, written once in their order and then read by their number.

    Each is sealed by AES-256-GCM with its number as the nonce, under a fresh key that is kept nowhere else: when this
    process ends, nobody can read them. A row that was changed, or put in another one's place, is not read.
    """

    def __init__(self, descriptor: int, first_byte: int, row: np.dtype[Any]) -> None:
        """Use the file from `first_byte` on; whoever made it lets nobody else write there."""
        self._descriptor, self._first_byte, self._row = descriptor, first_byte, row
        self._cipher = AESGCM(os.urandom(32))
        self._stride = row.itemsize + TAG_BYTES
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"CacheFile({self._count} rows)"

    @property
    def end(self) -> int:
        """The first byte behind its rows."""
        return self._first_byte + self._count * self._stride

    def append(self, rows: NDArray[Any]) -> None:
        """Write further rows of the type.

        Raises:
            OSError: the disk did not take them.
        """
        content, width = np.ascontiguousarray(rows).view(np.uint8).data, self._row.itemsize
        sealed = bytearray()
        for place in range(len(rows)):
            sealed += self._cipher.encrypt(
                _nonce(self._count + place), content[place * width : (place + 1) * width], None
            )
        os.lseek(self._descriptor, self.end, os.SEEK_SET)
        write_all(self._descriptor, np.frombuffer(sealed, np.uint8))
        self._count += len(rows)

    def read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """The rows of these numbers, each by one read of its own.

        Raises:
            NotAuthenticError: one is not as it was written.
            EOFError: the file was cut off meanwhile.
        """
        rows = np.empty(len(numbers), self._row)
        content, width = rows.view(np.uint8).data, self._row.itemsize
        sealed = memoryview(bytearray(self._stride))
        for place, number in enumerate(numbers.tolist()):
            read_exactly(self._descriptor, sealed, self._first_byte + number * self._stride)
            try:
                content[place * width : (place + 1) * width] = self._cipher.decrypt(_nonce(number), sealed, None)
            except InvalidTag as error:
                raise NotAuthenticError("A row of the cache is not the one that was written there.") from error
        return rows


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
