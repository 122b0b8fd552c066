"""What a site signs of its masked vector: the round's context and the vector's digest, taken while it flows by."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from policies.errors import InvalidInputError
from policies.statements.digests import frame
from policies.statements.signed import sign, verify

_DOMAIN = "masked-update"
_VECTOR_DOMAIN = "masked-vector"


class VectorDigest:
    """`digest("masked-vector", vector)` of a vector (little-endian uint32) that is known in length and comes in pieces.

    The pieces may be cut anywhere.
    """

    def __init__(self, coordinates: int) -> None:
        self._left = 4 * coordinates
        self._hash = Hash(SHA256())
        self._hash.update(frame(_VECTOR_DOMAIN) + self._left.to_bytes(8, "big"))

    def update(self, piece: bytes | memoryview) -> None:
        """Take in the next bytes.

        Raises:
            InvalidInputError: they are more than the vector has left.
        """
        content = memoryview(piece).cast("B")
        if len(content) > self._left:
            raise InvalidInputError("A masked vector is longer than the terms give its round; it was not taken.")
        self._left -= len(content)
        self._hash.update(content)

    def hexdigest(self) -> str:
        """The digest, 64 hexadecimal digits; nothing may follow.

        Raises:
            InvalidInputError: the vector is not complete.
        """
        if self._left:
            raise InvalidInputError(f"A masked vector ended {self._left} bytes before its end; it was not taken.")
        return self._hash.finalize().hex()


def sign_vector(signing_key: Ed25519PrivateKey, site: str, context: bytes, vector_digest: str) -> bytes:
    """Sign that `site` answers the round of `context` with the vector of this digest; 64 bytes."""
    return sign(signing_key, _DOMAIN, *_signed_parts(site, context, vector_digest))


def verify_vector(signing_key: bytes, signature: bytes, site: str, context: bytes, vector_digest: str) -> None:
    """Check that `site`, whose pinned Ed25519 key (raw, 32 bytes) this is, signed this vector for this context.

    Raises:
        NotAuthenticError: the digest, the context or the signer differ.
    """
    parts = _signed_parts(site, context, vector_digest)
    verify(signing_key, signature, _DOMAIN, *parts, what=f"the masked update of site {site}")


def _signed_parts(site: str, context: bytes, vector_digest: str) -> tuple[bytes, bytes, bytes]:
    return bytes.fromhex(site), context, bytes.fromhex(vector_digest)
