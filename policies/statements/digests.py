"""Digests and keyed commitments: SHA-256 and HMAC-SHA-256 over length-prefixed, domain-separated parts."""

from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC

_PREFIX = "cloister/v1/"


def frame(domain: str, *parts: bytes) -> bytes:
    """Join `parts` unambiguously under `domain`: every piece is preceded by its length (8 bytes, big-endian)."""
    pieces = ((_PREFIX + domain).encode(), *parts)
    return b"".join(len(piece).to_bytes(8, "big") + piece for piece in pieces)


def digest_bytes(domain: str, *parts: bytes) -> bytes:
    """SHA-256 of the framed parts, 32 bytes."""
    hasher = Hash(SHA256())
    hasher.update(frame(domain, *parts))
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
    hmac.update(frame(domain, *parts))
    return hmac.finalize().hex()
