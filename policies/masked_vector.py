"""What a site signs of its masked vector: the round's context and the vector's digest, taken while it flows by."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.statements.digests import RunningDigest
from policies.statements.signed import sign, verify

_DOMAIN = "masked-update"
_VECTOR_DOMAIN = "masked-vector"


def running_vector_digest(coordinates: int) -> RunningDigest:
    """The digest of a masked vector of this many numbers (little-endian uint32), to be taken while it flows by."""
    return RunningDigest(_VECTOR_DOMAIN, 4 * coordinates)


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
