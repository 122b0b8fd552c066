"""Signed statements: an Ed25519 signature over a domain and a payload, bound so that neither can be swapped."""

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import NotAuthenticError
from policies.statements.canonical import canonical_bytes
from policies.statements.digests import digest, frame
from policies.statements.schema import StrictModel

_NOT_IN_SUBJECT = frozenset({"verdict", "reason", "decided_at"})


class OwnerSigned(Protocol):
    """A statement with the owner key that signed it and that key's signature, both in hexadecimal digits."""

    @property
    def owner_key(self) -> str:
        """The raw 32 bytes."""

    @property
    def signature(self) -> str:
        """The 64 bytes."""


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


def owner_signature(private_key: Ed25519PrivateKey, domain: str, statement: StrictModel) -> dict[str, str]:
    """Sign `statement` with the owner's key: the fields `owner_key` and `signature` of an `OwnerSigned`."""
    return {
        "owner_key": private_key.public_key().public_bytes_raw().hex(),
        "signature": sign(private_key, domain, statement.canonical()).hex(),
    }


def require_owner(signed: OwnerSigned, statement: StrictModel, owner_key: bytes, domain: str, *, what: str) -> None:
    """Check that `signed` holds the signature on `statement` by `owner_key` (raw 32 bytes), the key pinned for a site.

    Raises:
        NotAuthenticError: naming `what`, when another key signed, or the statement is not the one that was signed.
    """
    if signed.owner_key != owner_key.hex():
        raise NotAuthenticError(f"{what.capitalize()} names another owner key than the one pinned for this site.")
    verify(owner_key, bytes.fromhex(signed.signature), domain, statement.canonical(), what=what)


def subject_digest(domain: str, statement: StrictModel) -> str:
    """The digest of what a decision is on: shown before the decision and given back to take it."""
    fields = statement.model_dump(mode="json")
    return digest(domain, canonical_bytes({k: v for k, v in fields.items() if k not in _NOT_IN_SUBJECT}))
