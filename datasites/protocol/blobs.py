"""Blobs: large content sealed under a key of its own, so that the relay holds it and only the addressee opens it.

The chunked encryption is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015, section 7) over AES-256-GCM: the
nonce counts the chunks and marks the last one, so dropping, moving, doubling or adding a chunk makes opening fail.
Memory does not grow with the content: one chunk at a time is sealed or opened.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ConfigDict, Field, StringConstraints

from policies.errors import InvalidInputError, NotAuthenticError
from policies.statements.schema import Digest, StrictModel

CHUNK_BYTES = 1024 * 1024
MAXIMUM_SEALED_BYTES = 2 * 1024**3
_KEY_BYTES = 32
_TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + _TAG_BYTES
MAXIMUM_BLOB_BYTES = MAXIMUM_SEALED_BYTES // SEALED_CHUNK_BYTES * CHUNK_BYTES


class BlobReference(StrictModel):
    """Where a blob is (SHA-256 of its ciphertext), its plain size in bytes, its key; travels only in sealed mail."""

    model_config = ConfigDict(hide_input_in_errors=True)

    where: Literal["relay"] = "relay"
    digest: Digest
    size: Annotated[int, Field(ge=0, le=MAXIMUM_BLOB_BYTES)]
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(repr=False)]

    @property
    def plain_size(self) -> int:
        """Bytes of the content."""
        return self.size

    @property
    def sealed_size(self) -> int:
        """Bytes of the ciphertext."""
        return self.size + _chunk_count(self.size) * _TAG_BYTES


def new_key() -> bytes:
    """A key for one blob: never two contents under one key, since the nonces only count chunks."""
    return secrets.token_bytes(_KEY_BYTES)


def seal_stream(pieces: Iterable[bytes | memoryview], size: int, write: Callable[[bytes], object]) -> BlobReference:
    """Seal `size` bytes that come in any pieces under a fresh key, handing each sealed chunk to `write`.

    Raises:
        InvalidInputError: the pieces do not add up to `size`, or exceed `MAXIMUM_BLOB_BYTES`; what was written so far
            is worthless.
    """
    key, hasher = new_key(), hashlib.sha256()
    for chunk in sealed_chunks(key, pieces, size):
        hasher.update(chunk)
        write(chunk)
    return BlobReference(digest=hasher.hexdigest(), size=size, key=key.hex())


def sealed_chunks(key: bytes, pieces: Iterable[bytes | memoryview], size: int, first: int = 0) -> Iterator[bytes]:
    """The sealed chunks of a content of `size` bytes from chunk `first` on; `pieces` begin where that chunk does.

    Raises:
        InvalidInputError: the pieces do not add up, or the content exceeds `MAXIMUM_BLOB_BYTES`.
    """
    if size > MAXIMUM_BLOB_BYTES:
        raise InvalidInputError(f"This content has {size} bytes; a blob holds at most {MAXIMUM_BLOB_BYTES}.")
    cipher, count = AESGCM(key), _chunk_count(size)
    for index, chunk in enumerate(_chunks(pieces, size - first * CHUNK_BYTES), first):
        yield cipher.encrypt(_nonce(index, count), chunk, None)


def open_stream(reference: BlobReference, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain chunks of a blob, each authenticated, while its ciphertext streams in as `pieces` of any length.

    The last chunk is given only after the whole ciphertext had the size and digest that the reference names.

    Raises:
        NotAuthenticError: this is not the ciphertext that the reference names; nothing given so far may be used.
    """
    cipher, count = AESGCM(bytes.fromhex(reference.key)), _chunk_count(reference.size)
    hasher, pending, index, total = hashlib.sha256(), bytearray(), 0, 0
    for piece in pieces:
        total += len(piece)
        if total > reference.sealed_size:
            break
        hasher.update(piece)
        pending += piece
        while index < count - 1 and len(pending) >= SEALED_CHUNK_BYTES:
            yield _open_chunk(cipher, _nonce(index, count), pending[:SEALED_CHUNK_BYTES])
            del pending[:SEALED_CHUNK_BYTES]
            index += 1
    if total != reference.sealed_size or hasher.hexdigest() != reference.digest:
        raise NotAuthenticError("The relay gave other content than its sender sealed; fetch it again.")
    yield _open_chunk(cipher, _nonce(index, count), pending)


def open_blob(reference: BlobReference, pieces: Iterable[bytes], maximum_bytes: int) -> bytes:
    """Open a blob into memory.

    Raises:
        InvalidInputError: the content is larger than `maximum_bytes`.
        NotAuthenticError: the ciphertext is not the one that the reference names.
    """
    require_size(reference.size, maximum_bytes)
    return b"".join(open_stream(reference, pieces))


def require_size(size: int, maximum_bytes: int) -> None:
    """Refuse content that is larger than agreed, before a byte of it is fetched.

    Raises:
        InvalidInputError: it is.
    """
    if size > maximum_bytes:
        raise InvalidInputError(f"The content has {size} bytes; at most {maximum_bytes} are accepted here.")


def blob_digest(ciphertext: bytes) -> Digest:
    """The address of a ciphertext: plain SHA-256, so that a relay can compute it while the bytes stream in."""
    return hashlib.sha256(ciphertext).hexdigest()


def _chunks(pieces: Iterable[bytes | memoryview], size: int) -> Iterator[bytes | bytearray | memoryview]:
    """Plain chunks of `CHUNK_BYTES`, the last one shorter; whole chunks inside a piece are not copied."""
    pending, left = bytearray(), size
    for piece in pieces:
        view = flat_view(piece)
        left -= len(view)
        if left < 0:
            raise InvalidInputError(f"More content came than the {size} bytes that were announced.")
        if pending:
            room = CHUNK_BYTES - len(pending)
            pending += view[:room]
            view = view[room:]
        if len(pending) == CHUNK_BYTES:
            yield pending
            pending = bytearray()
        while len(view) >= CHUNK_BYTES:
            yield view[:CHUNK_BYTES]
            view = view[CHUNK_BYTES:]
        pending += view
    if left:
        raise InvalidInputError(f"The content ended {left} bytes before the {size} that were announced.")
    if pending or not size:
        yield pending


def flat_view(content: bytes | memoryview) -> memoryview:
    """The bytes of a contiguous buffer, such as an array."""
    view = memoryview(content)
    return view.cast("B") if view.nbytes else memoryview(b"")


def _open_chunk(cipher: AESGCM, nonce: bytes, sealed: bytearray) -> bytes:
    try:
        return cipher.decrypt(nonce, sealed, None)
    except InvalidTag as error:
        raise NotAuthenticError("This content does not open under the key that its sender gave.") from error


def _chunk_count(size: int) -> int:
    return max(1, -(-size // CHUNK_BYTES))


def _nonce(index: int, chunks: int) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if index == chunks - 1 else b"\x00")
