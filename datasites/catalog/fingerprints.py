"""Keyed marks of units: fingerprints that recognise a person again, and the side of the split each unit is on."""

from datasites.catalog.csv_reader import Table
from policies.statements.digests import keyed_commitment


def unit_fingerprint(unit: str, key: bytes) -> str:
    """HMAC of a unit's normalised name (NFC, no spaces around it, as `Table` holds it): 64 hexadecimal digits."""
    return keyed_commitment(key, "unit-fingerprint", unit.encode())


def unit_fingerprints(table: Table, key: bytes) -> list[str]:
    """The fingerprints of all units of the table, each once, sorted, so that their order tells nothing."""
    return sorted(unit_fingerprint(unit, key) for unit in set(table.units.tolist()))


def is_holdout(unit: str, key: bytes, fraction: float) -> bool:
    """Whether the unit is held out: a function of key, name and fraction alone, so no unit can move another."""
    return int(keyed_commitment(key, "unit-split", unit.encode())[:16], 16) < int(fraction * 2**64)
