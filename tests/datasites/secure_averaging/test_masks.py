"""Masks against the RFCs' vectors, a slow big-integer reference and a frozen transcript."""

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.masks import PairMask, pair_mask
from policies.errors import InvalidInputError
from tests.whole_vectors import apply_masks

PRIME = 2**255 - 19
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
CONTEXT = bytes(range(32))
# Four sites, in no order, with mask keys that a test may know.
SITES = {name * 64: hashlib.sha256(name.encode()).digest() for name in "c0fa"}


def ladder(scalar: bytes, point: bytes) -> bytes:
    """X25519 as RFC 7748, section 5, writes it down, in Python's integers."""
    k = (int.from_bytes(scalar, "little") & ~7 & ~(1 << 255)) | (1 << 254)
    u = int.from_bytes(point, "little") & ~(1 << 255)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in reversed(range(255)):
        if swap != (k >> bit) & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = (k >> bit) & 1
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a % PRIME, b * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, (aa - bb) * (aa + 121665 * (aa - bb)) % PRIME
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, -1, PRIME) % PRIME).to_bytes(32, "little")


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int = 32) -> bytes:
    """HKDF-SHA256 as RFC 5869, section 2, with the standard library's HMAC."""
    extracted, result, last = hmac.digest(salt, secret, "sha256"), b"", b""
    for number in range(1, -(-size // 32) + 1):
        last = hmac.digest(extracted, last + info + bytes([number]), "sha256")
        result += last
    return result[:size]


def slow_masked(values: list[int], own: str, context: bytes) -> list[int]:
    """What `own` should send, one coordinate at a time, modulo 2³²."""
    result = list(values)
    for peer, peer_private in SITES.items():
        if peer == own:
            continue
        secret = ladder(SITES[own], ladder(peer_private, (9).to_bytes(32, "little")))
        pieces = (b"cloister/v1/pair-mask", bytes.fromhex(min(own, peer)), bytes.fromhex(max(own, peer)))
        info = b"".join(len(piece).to_bytes(8, "big") + piece for piece in pieces)
        block_cipher = Cipher(AES(hkdf(secret, context, info)), ECB()).encryptor()  # noqa: S305 – CTR spelt out
        for index in range(len(result)):
            block = block_cipher.update((index // 4).to_bytes(16, "big"))
            number = int.from_bytes(block[4 * (index % 4) : 4 * (index % 4) + 4], "little")
            result[index] = (result[index] + (number if own < peer else -number)) % 2**32
    return result


def masks_of(own: str, context: bytes = CONTEXT) -> list[PairMask]:
    private = X25519PrivateKey.from_private_bytes(SITES[own])
    public = {
        site: X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() for site, key in SITES.items()
    }
    return [pair_mask(private, public[peer], context, own, peer) for peer in SITES if peer != own]


def masked(values: list[int], own: str, context: bytes = CONTEXT) -> list[int]:
    vector = np.array(values, np.uint32)
    apply_masks(vector, masks_of(own, context))
    return vector.tolist()


def test_x25519_is_rfc_7748_section_6_1():
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    alice, bob = X25519PrivateKey.from_private_bytes(ALICE), X25519PrivateKey.from_private_bytes(BOB)
    assert alice.exchange(bob.public_key()).hex() == shared
    assert bob.exchange(alice.public_key()).hex() == shared
    assert ladder(ALICE, ladder(BOB, (9).to_bytes(32, "little"))).hex() == shared


def test_hkdf_is_rfc_5869_appendix_a_1():
    secret, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert HKDF(algorithm=SHA256(), length=42, salt=salt, info=info).derive(secret).hex() == expected
    assert hkdf(secret, salt, info, 42).hex() == expected


@pytest.mark.parametrize("own", list(SITES))
def test_every_site_agrees_with_the_slow_reference(own):
    values = [0, 1, 2**31, 2**32 - 1, *range(1000, 1015)]
    assert masked(values, own) == slow_masked(values, own, CONTEXT)


def test_the_transcript_is_frozen():
    """Four sites, sixteen coordinates: whoever changes a byte on the wire changes these digests."""
    transcript = {site[0]: masked(list(range(16)), site) for site in SITES}
    digests = {
        name: hashlib.sha256(np.array(numbers, "<u4").tobytes()).hexdigest()[:16]
        for name, numbers in transcript.items()
    }
    assert digests == {
        "c": "7e390bb0b5619426",
        "0": "213e33cca38d44a0",
        "f": "d29eed92dce28fe3",
        "a": "4b3b438459922161",
    }
    assert [sum(column) % 2**32 for column in zip(*transcript.values(), strict=True)] == list(range(0, 64, 4))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4), min_size=1, max_size=50))
def test_masks_cancel_in_the_sum_and_nowhere_else(columns):
    rows = [list(row) for row in zip(*columns, strict=True)]
    answers = [masked(row, site) for row, site in zip(rows, SITES, strict=True)]
    assert [sum(column) % 2**32 for column in zip(*answers, strict=True)] == [sum(it) % 2**32 for it in columns]
    if len(columns) >= 4:
        for left_out in range(4):
            partial = [answer for index, answer in enumerate(answers) if index != left_out]
            plain = [row for index, row in enumerate(rows) if index != left_out]
            assert [sum(it) % 2**32 for it in zip(*partial, strict=True)] != [
                sum(it) % 2**32 for it in zip(*plain, strict=True)
            ]


def test_masks_cancel_across_blocks():
    total = np.zeros(2 * BLOCK_NUMBERS + 5, np.uint32)
    for site in SITES:
        vector = np.ones(total.size, np.uint32)
        apply_masks(vector, masks_of(site))
        total += vector
    assert np.all(total == 4)


def test_both_of_a_pair_get_one_key_and_opposite_signs():
    first, second = "0" * 64, "f" * 64
    lower = dict(zip([it for it in SITES if it != first], masks_of(first), strict=True))[second]
    higher = dict(zip([it for it in SITES if it != second], masks_of(second), strict=True))[first]
    assert (lower.key, lower.adds, higher.adds) == (higher.key, True, False)


def test_the_context_and_both_names_decide_the_key():
    private, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key().public_bytes_raw()
    names = [("a" * 64, "b" * 64), ("a" * 64, "c" * 64), ("c" * 64, "b" * 64)]
    keys = {pair_mask(private, public, context, *pair).key for pair in names for context in (CONTEXT, bytes(32))}
    assert len(keys) == 6


@pytest.mark.parametrize("point", [0, 1, PRIME - 1, PRIME, PRIME + 1])
def test_a_low_order_key_is_refused_here_too(point):
    key = point.to_bytes(32, "little")
    X25519PublicKey.from_public_bytes(key)
    with pytest.raises(InvalidInputError, match="low order"):
        pair_mask(X25519PrivateKey.generate(), key, CONTEXT, "a" * 64, "b" * 64)


def test_a_mask_shows_no_key_when_printed():
    assert masks_of("0" * 64)[0].key.hex()[:8] not in repr(masks_of("0" * 64)[0])
    assert "key" not in repr(masks_of("0" * 64)[0])
