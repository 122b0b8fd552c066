"""Digests and keyed commitments: SHA-256 and HMAC-SHA-256 over length-prefixed, domain-separated parts."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC

from policies.errors import InvalidInputError

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


class RunningDigest:
    """`digest(domain, content)` of one content whose size is known beforehand, taken while it comes in pieces."""

    def __init__(self, domain: str, size: int) -> None:
        self._left = size
        self._hash = Hash(SHA256())
        self._hash.update(frame(domain) + size.to_bytes(8, "big"))

    def update(self, piece: bytes | memoryview) -> None:
        """Take in the next bytes, cut anywhere.

        Raises:
            InvalidInputError: they are more than the content has left.
        """
        content = memoryview(piece).cast("B")
        if len(content) > self._left:
            raise InvalidInputError("More content came than was announced; it was not taken.")
        self._left -= len(content)
        self._hash.update(content)

    def hexdigest(self) -> str:
        """The digest, as 64 hexadecimal digits; nothing may follow.

        Raises:
            InvalidInputError: the content is not complete.
        """
        if self._left:
            raise InvalidInputError(f"The content ended {self._left} bytes before its end; it was not taken.")
        return self._hash.finalize().hex()


def party_of(signing_key: bytes) -> str:
    """The identity of whoever holds the private half of `signing_key` (raw, 32 bytes), 64 hexadecimal digits."""
    return digest("identity", signing_key)


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
