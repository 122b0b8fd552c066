"""Blobs come back whole or not at all."""

import mmap
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.protocol.blobs import (
    CHUNK_BYTES,
    MAXIMUM_BLOB_BYTES,
    MAXIMUM_SEALED_BYTES,
    BlobReference,
    blob_digest,
    open_blob,
    seal_blob,
)
from policies.errors import InvalidInputError, NotAuthenticError

SEALED_CHUNK = CHUNK_BYTES + 16


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_content_of_every_shape_comes_back(size: int) -> None:
    content = secrets.token_bytes(size)
    reference, ciphertext = seal_blob(memoryview(content))
    assert open_blob(reference, ciphertext, size) == content
    assert reference.digest == blob_digest(ciphertext)
    assert size < 100 or content[:100] not in ciphertext


def test_each_sealing_has_its_own_key_and_no_text_shows_it() -> None:
    first, one = seal_blob(b"the same")
    second, two = seal_blob(b"the same")
    assert first.key != second.key
    assert one != two
    assert first.key not in repr(first)
    with pytest.raises(ValueError, match="key") as caught:
        BlobReference.model_validate({"digest": first.digest, "size": 1, "key": first.key[:-1] + "z"})
    assert first.key[:-1] not in str(caught.value)


def reference_to(ciphertext: bytes, reference: BlobReference, size: int) -> BlobReference:
    """A reference by somebody who chose digest and size freely, but has the old key."""
    return reference.model_copy(update={"digest": blob_digest(ciphertext), "size": size})


def test_moving_dropping_doubling_and_adding_chunks_is_noticed_without_the_digest() -> None:
    reference, ciphertext = seal_blob(bytes(2 * CHUNK_BYTES + 10))
    first, second, last = (ciphertext[start : start + SEALED_CHUNK] for start in (0, SEALED_CHUNK, 2 * SEALED_CHUNK))
    for changed, size in (
        (second + first + last, reference.size),
        (first + second, 2 * CHUNK_BYTES),
        (first, CHUNK_BYTES),
        (first + last, CHUNK_BYTES + 10),
        (first + second + second + last, 3 * CHUNK_BYTES + 10),
        (first + second + last[:-1], reference.size - 1),
    ):
        with pytest.raises(NotAuthenticError):
            open_blob(reference_to(changed, reference, size), changed, MAXIMUM_BLOB_BYTES)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 115), st.integers(0, 7))
def test_every_flipped_bit_is_noticed(position: int, bit: int) -> None:
    reference, ciphertext = seal_blob(bytes(100))
    changed = bytearray(ciphertext)
    changed[position] ^= 1 << bit
    with pytest.raises(NotAuthenticError):
        open_blob(reference, bytes(changed), 100)
    with pytest.raises(NotAuthenticError):
        open_blob(reference_to(bytes(changed), reference, 100), bytes(changed), 100)


def test_sizes_are_bounded_before_anything_is_opened() -> None:
    reference, ciphertext = seal_blob(bytes(100))
    with pytest.raises(InvalidInputError, match="at most 99"):
        open_blob(reference, ciphertext, 99)
    with (
        mmap.mmap(-1, MAXIMUM_BLOB_BYTES + 1) as untouched,
        memoryview(untouched) as view,
        pytest.raises(InvalidInputError, match="a blob holds at most"),
    ):
        seal_blob(view)
    assert (MAXIMUM_BLOB_BYTES // CHUNK_BYTES) * SEALED_CHUNK <= MAXIMUM_SEALED_BYTES
