"""Catalogue keys: the secrets of a datasite that name, split and commit to its units, from one stored secret."""

from dataclasses import dataclass, fields

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from policies.statements.digests import frame


@dataclass(frozen=True, repr=False)
class CatalogKeys:
    """Four independent 32-byte keys, the same for every data set of a datasite.

    One split key for the whole datasite puts a unit on the same side in every data set that holds it: without that,
    training and holdout of one population would share units and could not each have the whole allowance.
    """

    split: bytes
    fingerprint: bytes
    commitment: bytes
    balance: bytes
    """Seals the balances that witnesses keep for this datasite: see `datasites.witnesses.balances`."""

    def __post_init__(self) -> None:
        """Refuse keys of another length, and one key used twice."""
        keys = [getattr(self, field.name) for field in fields(self)]
        if any(len(key) != 32 for key in keys) or len(set(keys)) != len(keys):
            raise ValueError("the catalogue needs four different keys of 32 bytes")


def derive_catalog_keys(secret: bytes) -> CatalogKeys:
    """Derive the keys from the datasite's 32-byte catalogue secret by HKDF-Expand (RFC 5869 §2.3).

    Losing the secret, or changing it, lets known units look new: it must be backed up with the ledger.

    Raises:
        ValueError: the secret does not have 32 bytes.
    """
    if len(secret) != 32:
        raise ValueError(f"a catalogue secret has 32 bytes, this one has {len(secret)}")
    return CatalogKeys(
        split=_key(secret, b"split"),
        fingerprint=_key(secret, b"fingerprint"),
        commitment=_key(secret, b"commitment"),
        balance=_key(secret, b"balance"),
    )


def _key(secret: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), length=32, info=frame("catalog-key", purpose)).derive(secret)
