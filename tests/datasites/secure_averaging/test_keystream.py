"""The keystream against published AES-256 vectors and against a block-by-block reference."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB

from datasites.secure_averaging.keystream import BLOCK_NUMBERS, Keystream


def stretch(key: bytes, *sizes: int) -> np.ndarray:
    stream, parts = Keystream(key), [np.empty(size, "<u4") for size in sizes]
    for part in parts:
        stream.fill(part)
    return np.concatenate(parts)


def test_the_zero_key_gives_the_published_blocks():
    """E(0), E(1), E(2) under the zero key: H, test cases 13 and 14 of McGrew & Viega, The GCM mode of operation."""
    blocks = (
        "dc95c078a2408989ad48a21492842087",
        "530f8afbc74536b9a963b4f1c4cb738b",
        "cea7403d4d606b6e074ec5d3baf39d18",
    )
    assert stretch(bytes(32), 12).tobytes().hex() == "".join(blocks)


def test_the_library_counts_as_sp_800_38a_f_5_5():
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    encrypted = Cipher(AES(key), CTR(counter)).encryptor().update(plain)
    assert encrypted.hex() == "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"


def test_it_is_the_encrypted_counter_across_blocks():
    key = bytes(range(32))
    numbers = 2 * BLOCK_NUMBERS + 12
    counters = b"".join(number.to_bytes(16, "big") for number in range(numbers // 4))
    expected = np.frombuffer(Cipher(AES(key), ECB()).encryptor().update(counters), "<u4")  # noqa: S305 – CTR spelt out
    assert np.array_equal(stretch(key, BLOCK_NUMBERS, BLOCK_NUMBERS, 12), expected)


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4), (3, 7), (10,), (0, 10)])
def test_how_it_is_cut_does_not_change_it(sizes):
    assert np.array_equal(stretch(b"k" * 32, *sizes), stretch(b"k" * 32, 10))


def test_two_keys_give_unrelated_streams():
    assert np.count_nonzero(stretch(b"k" * 32, 10_000) == stretch(b"l" * 32, 10_000)) < 5


def test_a_key_of_another_size_is_refused():
    with pytest.raises(ValueError, match="has 16"):
        Keystream(bytes(16))
