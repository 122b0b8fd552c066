"""Blobs: large content sealed under a key of its own, so that the relay holds it and only the addressee opens it.

The chunked encryption is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015, section 7): the nonce counts the
chunks and marks the last one, so dropping, moving, doubling or adding a chunk makes opening fail.
"""

import hashlib
import secrets
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from pydantic import ConfigDict, Field, StringConstraints

from policies.errors import InvalidInputError, NotAuthenticError
from policies.statements.schema import Digest, StrictModel

CHUNK_BYTES = 1024 * 1024
MAXIMUM_SEALED_BYTES = 1024**3
_KEY_BYTES = 32
_TAG_BYTES = 16
MAXIMUM_BLOB_BYTES = MAXIMUM_SEALED_BYTES // (CHUNK_BYTES + _TAG_BYTES) * CHUNK_BYTES


class BlobReference(StrictModel):
    """Where a blob is (SHA-256 of its ciphertext), its plain size in bytes, its key; travels only in sealed mail."""

    model_config = ConfigDict(hide_input_in_errors=True)

    digest: Digest
    size: Annotated[int, Field(ge=0, le=MAXIMUM_BLOB_BYTES)]
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(repr=False)]

    @property
    def sealed_size(self) -> int:
        """Bytes of the ciphertext."""
        return self.size + _chunk_count(self.size) * _TAG_BYTES


def seal_blob(content: bytes | memoryview) -> tuple[BlobReference, bytes]:
    """Seal `content` under a fresh key; gives the reference for the addressee and the ciphertext for the relay.

    Raises:
        InvalidInputError: more than `MAXIMUM_BLOB_BYTES`.
    """
    plain = memoryview(content).cast("B")
    if len(plain) > MAXIMUM_BLOB_BYTES:
        raise InvalidInputError(f"This content has {len(plain)} bytes; a blob holds at most {MAXIMUM_BLOB_BYTES}.")
    key = secrets.token_bytes(_KEY_BYTES)
    cipher, chunks = ChaCha20Poly1305(key), _chunk_count(len(plain))
    ciphertext = b"".join(
        cipher.encrypt(_nonce(index, chunks), plain[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES], None)
        for index in range(chunks)
    )
    return BlobReference(digest=blob_digest(ciphertext), size=len(plain), key=key.hex()), ciphertext


def open_blob(reference: BlobReference, ciphertext: bytes, maximum_bytes: int) -> bytes:
    """Open what the relay gave for `reference`.

    Raises:
        InvalidInputError: the content is larger than `maximum_bytes`.
        NotAuthenticError: the ciphertext is not the one that the reference names.
    """
    if reference.size > maximum_bytes:
        raise InvalidInputError(f"The content has {reference.size} bytes; at most {maximum_bytes} are accepted here.")
    chunks = _chunk_count(reference.size)
    if len(ciphertext) != reference.sealed_size or blob_digest(ciphertext) != reference.digest:
        raise NotAuthenticError("The relay gave other content than its sender sealed; fetch it again.")
    cipher, step, sealed = (
        ChaCha20Poly1305(bytes.fromhex(reference.key)),
        CHUNK_BYTES + _TAG_BYTES,
        memoryview(ciphertext),
    )
    try:
        return b"".join(
            cipher.decrypt(_nonce(index, chunks), sealed[index * step : (index + 1) * step], None)
            for index in range(chunks)
        )
    except InvalidTag as error:
        raise NotAuthenticError("This content does not open under the key that its sender gave.") from error


def blob_digest(ciphertext: bytes) -> Digest:
    """The address of a ciphertext: plain SHA-256, so that a relay can compute it while the bytes stream in."""
    return hashlib.sha256(ciphertext).hexdigest()


def _chunk_count(size: int) -> int:
    return max(1, -(-size // CHUNK_BYTES))


def _nonce(index: int, chunks: int) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if index == chunks - 1 else b"\x00")
