"""Sealed content that can be read from any offset, so that an upload which broke off can go on where it ended."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datasites.protocol.blobs import (
    CHUNK_BYTES,
    SEALED_CHUNK_BYTES,
    BlobReference,
    flat_view,
    new_key,
    sealed_chunks,
)
from policies.errors import RefusedError


class Sealed(Protocol):
    """A ciphertext that a mailbox can hand over."""

    @property
    def reference(self) -> BlobReference:
        """What its addressee needs."""
        ...

    def pieces(self, offset: int) -> Iterator[bytes]:
        """The ciphertext from byte `offset` on, the same bytes each time."""
        ...


class SealedMemory:
    """Content in memory, sealed anew in each pass without ever holding its ciphertext.

    A buffer that somebody could write to is copied first: two contents must never be sealed under one key.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        view = flat_view(content)
        self._content = view if view.readonly else memoryview(bytes(view))
        self._key = new_key()
        hasher = hashlib.sha256()
        for chunk in self.pieces(0):
            hasher.update(chunk)
        self.reference = BlobReference(digest=hasher.hexdigest(), size=len(self._content), key=self._key.hex())

    def pieces(self, offset: int) -> Iterator[bytes]:
        """The ciphertext from byte `offset` on."""
        first, skipped = divmod(offset, SEALED_CHUNK_BYTES)
        if first and first * CHUNK_BYTES >= len(self._content):
            return
        rest = self._content[first * CHUNK_BYTES :]
        for chunk in sealed_chunks(self._key, (rest,), len(self._content), first):
            yield chunk[skipped:] if skipped else chunk
            skipped = 0


@dataclass(frozen=True)
class SealedFile:
    """A ciphertext in a file, as `seal_stream` wrote it."""

    path: Path
    reference: BlobReference

    def pieces(self, offset: int) -> Iterator[bytes]:
        """The ciphertext from byte `offset` on.

        Raises:
            RefusedError: the file is gone.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError as error:
            raise RefusedError("The sealed content is not on this disk any more.") from error
        with file:
            file.seek(offset)
            while piece := file.read(CHUNK_BYTES):
                yield piece
