"""Signed statements: an Ed25519 signature over a domain and a payload, bound so that neither can be swapped."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import NotAuthenticError
from policies.statements.digests import frame


def sign(private_key: Ed25519PrivateKey, domain: str, *parts: bytes) -> bytes:
    """Sign the framed parts under `domain`; 64 bytes."""
    return private_key.sign(frame(domain, *parts))


def verify(public_key: bytes, signature: bytes, domain: str, *parts: bytes, what: str) -> None:
    """Check a signature made by `sign`; `public_key` is the raw 32 bytes.

    Raises:
        NotAuthenticError: naming `what`, when the signature or the key is not right.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, frame(domain, *parts))
    except (InvalidSignature, ValueError) as error:
        raise NotAuthenticError(f"The signature on {what} is not by the key that was expected.") from error
