"""Keyed marks of units: fingerprints that recognise a person again, and the side of the split each unit is on."""

from policies.statements.digests import keyed_commitment


def unit_fingerprint(unit: str, key: bytes) -> str:
    """HMAC of a unit's normalised name (NFC, no spaces around it, as `Batch` holds it): 64 hexadecimal digits."""
    return keyed_commitment(key, "unit-fingerprint", unit.encode())


def is_holdout(unit: str, key: bytes, fraction: float) -> bool:
    """Whether the unit is held out: a function of key, name and fraction alone, so no unit can move another."""
    return int(keyed_commitment(key, "unit-split", unit.encode())[:16], 16) < int(fraction * 2**64)
