"""Digests and keyed commitments: SHA-256 and HMAC-SHA-256 over length-prefixed, domain-separated parts."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC

_PREFIX = "cloister/v1/"


def frame(domain: str, *parts: bytes) -> bytes:
    """Join `parts` unambiguously under `domain`: every piece is preceded by its length (8 bytes, big-endian)."""
    return b"".join(_pieces(domain, parts))


def digest_bytes(domain: str, *parts: bytes) -> bytes:
    """SHA-256 of the framed parts, 32 bytes."""
    hasher = Hash(SHA256())
    for piece in _pieces(domain, parts):
        hasher.update(piece)
    return hasher.finalize()


def digest(domain: str, *parts: bytes) -> str:
    """SHA-256 of the framed parts, as 64 hexadecimal digits."""
    return digest_bytes(domain, *parts).hex()


def keyed_commitment(key: bytes, domain: str, *parts: bytes) -> str:
    """HMAC-SHA-256 of the framed parts, 64 hexadecimal digits: without the 32-byte key nobody can test a guess.

    Raises:
        ValueError: the key does not have 32 bytes.
    """
    if len(key) != 32:
        raise ValueError(f"a commitment key has 32 bytes, this one has {len(key)}")
    hmac = HMAC(key, SHA256())
    for piece in _pieces(domain, parts):
        hmac.update(piece)
    return hmac.finalize().hex()


def _pieces(domain: str, parts: tuple[bytes, ...]) -> Iterator[bytes]:
    for piece in ((_PREFIX + domain).encode(), *parts):
        yield len(piece).to_bytes(8, "big")
        yield piece
