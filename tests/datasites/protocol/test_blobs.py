"""Blobs come back whole or not at all, in whatever pieces they are sealed, carried and opened."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.protocol.blobs import (
    CHUNK_BYTES,
    MAXIMUM_BLOB_BYTES,
    MAXIMUM_SEALED_BYTES,
    SEALED_CHUNK_BYTES,
    BlobReference,
    blob_digest,
    open_blob,
    open_stream,
    seal_stream,
)
from datasites.protocol.sealed import SealedFile, SealedMemory
from policies.errors import InvalidInputError, NotAuthenticError

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


def sealed_once(content: bytes) -> tuple[BlobReference, bytes]:
    sealed = SealedMemory(content)
    return sealed.reference, b"".join(sealed.pieces(0))


def cut(content: bytes, places: list[int]) -> Iterator[bytes]:
    """The content in pieces that end at these places, some of them empty."""
    start = 0
    for place in [*sorted(it % (len(content) + 1) for it in places), len(content)]:
        yield content[start:place]
        start = place


@pytest.mark.parametrize("size", SIZES)
def test_content_of_every_shape_comes_back(size: int) -> None:
    content = secrets.token_bytes(size)
    reference, ciphertext = sealed_once(content)
    assert open_blob(reference, [ciphertext], size) == content
    assert reference.digest == blob_digest(ciphertext)
    assert len(ciphertext) == reference.sealed_size
    assert size < 100 or content[:100] not in ciphertext


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3 * CHUNK_BYTES + 5), st.lists(st.integers(0, 1 << 30), max_size=6))
def test_any_pieces_seal_and_open(size: int, places: list[int]) -> None:
    content = secrets.token_bytes(size)
    written = bytearray()
    reference = seal_stream(cut(content, places), size, written.extend)
    given_out = list(open_stream(reference, cut(bytes(written), places[::-1])))
    assert b"".join(given_out) == content
    assert max(map(len, given_out)) <= CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 10, 2 * CHUNK_BYTES])
def test_pieces_that_do_not_add_up_are_refused(size: int) -> None:
    for real in (size + 1, max(0, size - 1), size + CHUNK_BYTES):
        if real != size:
            with pytest.raises(InvalidInputError, match="announced"):
                seal_stream([bytes(real)], size, lambda _chunk: None)
    with pytest.raises(InvalidInputError, match="a blob holds at most"):
        seal_stream([], MAXIMUM_BLOB_BYTES + 1, lambda _chunk: None)
    assert MAXIMUM_BLOB_BYTES // CHUNK_BYTES * SEALED_CHUNK_BYTES <= MAXIMUM_SEALED_BYTES


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 1 << 30))
def test_any_offset_gives_the_rest_of_the_same_bytes(size: int, place: int) -> None:
    sealed = SealedMemory(bytes(size))
    ciphertext = b"".join(sealed.pieces(0))
    offset = place % (len(ciphertext) + 1)
    assert b"".join(sealed.pieces(offset)) == ciphertext[offset:]


def test_a_sealed_file_gives_the_rest_from_any_offset(tmp_path: Path) -> None:
    with (tmp_path / "sealed").open("wb") as file:
        reference = seal_stream([bytes(2 * CHUNK_BYTES)], 2 * CHUNK_BYTES, file.write)
    sealed = SealedFile(tmp_path / "sealed", reference)
    whole = b"".join(sealed.pieces(0))
    assert open_blob(reference, sealed.pieces(0), 2 * CHUNK_BYTES) == bytes(2 * CHUNK_BYTES)
    for offset in (1, CHUNK_BYTES, len(whole) - 1, len(whole)):
        assert b"".join(sealed.pieces(offset)) == whole[offset:]


def test_two_contents_are_never_sealed_under_one_key() -> None:
    array = np.zeros(1000, np.float32)
    sealed = SealedMemory(memoryview(array))
    first = b"".join(sealed.pieces(0))
    array[:] = 1
    assert b"".join(sealed.pieces(0)) == first
    one, two = SealedMemory(b"the same"), SealedMemory(b"the same")
    assert one.reference.key != two.reference.key
    assert list(one.pieces(0)) != list(two.pieces(0))


def test_no_text_shows_a_key() -> None:
    reference, _ = sealed_once(b"content")
    assert reference.key not in repr(reference)
    with pytest.raises(ValueError, match="key") as caught:
        BlobReference.model_validate({"digest": reference.digest, "size": 1, "key": reference.key[:-1] + "z"})
    assert reference.key[:-1] not in str(caught.value)


def reference_to(ciphertext: bytes, reference: BlobReference, size: int) -> BlobReference:
    """A reference by somebody who chose digest and size freely, but has the old key."""
    return reference.model_copy(update={"digest": blob_digest(ciphertext), "size": size})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=6), st.integers(0, 20), st.integers(0, 12))
def test_chunks_moved_dropped_doubled_added_or_cut_are_noticed_without_the_digest(
    order: list[int], cut_off: int, last_bytes: int
) -> None:
    whole = [0, 1, 2, 3]
    changed = b"".join(CHUNKS[index] for index in order)
    changed = changed[: len(changed) - cut_off]
    if order == whole and not cut_off:
        assert open_blob(reference_to(changed, CHUNKED, CHUNKED.size), [changed], MAXIMUM_BLOB_BYTES)
        return
    # The size of a content that would have as many chunks, and any that an attacker may claim near it.
    for size in (max(0, len(changed) - 16 * max(1, -(-len(changed) // SEALED_CHUNK_BYTES))), CHUNKED.size, last_bytes):
        with pytest.raises(NotAuthenticError):
            open_blob(reference_to(changed, CHUNKED, size), [changed], MAXIMUM_BLOB_BYTES)


CHUNKED, _CIPHERTEXT = sealed_once(bytes(3 * CHUNK_BYTES + 10))
CHUNKS = [_CIPHERTEXT[start : start + SEALED_CHUNK_BYTES] for start in range(0, len(_CIPHERTEXT), SEALED_CHUNK_BYTES)]


def test_every_flipped_bit_is_noticed() -> None:
    reference, ciphertext = sealed_once(bytes(100))
    for position in range(len(ciphertext)):
        for bit in range(8):
            changed = bytearray(ciphertext)
            changed[position] ^= 1 << bit
            for claimed in (reference, reference_to(bytes(changed), reference, 100)):
                with pytest.raises(NotAuthenticError):
                    open_blob(claimed, [bytes(changed)], 100)


def test_the_last_chunk_is_given_only_after_the_whole_was_checked() -> None:
    reference, ciphertext = sealed_once(bytes(2 * CHUNK_BYTES))
    other = reference.model_copy(update={"digest": "0" * 64})
    opened = open_stream(other, [ciphertext])
    assert len(next(opened)) == CHUNK_BYTES
    with pytest.raises(NotAuthenticError):
        next(opened)
    endless = open_stream(reference, iter(lambda: bytes(CHUNK_BYTES), None))
    with pytest.raises(NotAuthenticError):
        list(endless)


def test_sizes_are_bounded_before_anything_is_opened() -> None:
    reference, _ = sealed_once(bytes(100))
    with pytest.raises(InvalidInputError, match="at most 99"):
        open_blob(reference, [], 99)
