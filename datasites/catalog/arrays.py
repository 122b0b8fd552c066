"""From a checked table to the arrays a trainer takes: units grouped, capped, split, scaled and put in keyed order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.csv_reader import Table, Values
from datasites.catalog.fingerprints import is_holdout, unit_fingerprint
from datasites.catalog.keys import CatalogKeys
from policies.errors import InvalidInputError
from policies.manifest import MINIMUM_UNITS, CategoryColumn, Manifest

MAXIMUM_SNAPSHOT_BYTES = 2**30
FEWEST_OF_NOMINAL = 0.5
MOST_OF_NOMINAL = 1.25


@dataclass(frozen=True, eq=False, repr=False)
class UnitArrays:
    """One side of the split: n units, k = `maximum_records` places for records, d = `feature_count` features.

    features: (n, k, d) float32 in [−1, 1], one-hot categories in {0, 1}; target: (n, k), float32 in [−1, 1] or int64;
    mask: (n, k) bool, True where there is a record. Where there is none, features and target are 0.
    """

    features: NDArray[np.float32]
    target: NDArray[np.float32 | np.int64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """The frozen arrays of a data set, and the digest of the manifest they were made by."""

    manifest_digest: str
    training: UnitArrays
    holdout: UnitArrays


def build_snapshot(table: Table, manifest: Manifest, keys: CatalogKeys) -> Snapshot:
    """Build the arrays of `table`: the first `maximum_records` of each unit by file order, split by keyed hash.

    Raises:
        InvalidInputError: too few units, a number of units far from `nominal_units`, or arrays too large.
    """
    names, unit_of_row = np.unique(table.units, return_inverse=True)
    _require_declared_size(len(names), manifest)
    rows, places = _first_records(unit_of_row, manifest.privacy_unit.maximum_records)
    features = _features(table, manifest, rows)
    target = _target(table, manifest, rows)

    units: list[str] = names.tolist()
    keyed_order = np.argsort(np.array([unit_fingerprint(unit, keys.fingerprint) for unit in units]))
    held_out = np.array([is_holdout(unit, keys.split, manifest.holdout.fraction) for unit in units])

    def side(of_this_side: NDArray[np.bool_]) -> UnitArrays:
        members = keyed_order[of_this_side[keyed_order]]
        index = np.full(len(units), -1)
        index[members] = np.arange(len(members))
        mine = of_this_side[unit_of_row[rows]]
        at = (index[unit_of_row[rows[mine]]], places[mine])
        shape = (len(members), manifest.privacy_unit.maximum_records)
        arrays = UnitArrays(
            np.zeros((*shape, manifest.feature_count), np.float32), np.zeros(shape, target.dtype), np.zeros(shape, bool)
        )
        arrays.features[at] = features[mine]
        arrays.target[at] = target[mine]
        arrays.mask[at] = True
        return arrays

    return Snapshot(manifest.digest(), training=side(~held_out), holdout=side(held_out))


def _require_declared_size(units: int, manifest: Manifest) -> None:
    nominal = manifest.privacy_unit.nominal_units
    if units < MINIMUM_UNITS:
        raise InvalidInputError(f"The table has fewer than {MINIMUM_UNITS} units, too few to hide anybody among them.")
    if not FEWEST_OF_NOMINAL * nominal <= units <= MOST_OF_NOMINAL * nominal:
        raise InvalidInputError(
            f"The table's number of units is not within {FEWEST_OF_NOMINAL} to {MOST_OF_NOMINAL} times the manifest's "
            f"nominal_units ({nominal}); noise and batches are sized by it, so declare the right order of size."
        )
    bytes_needed = units * manifest.privacy_unit.maximum_records * (4 * manifest.feature_count + 9)
    if bytes_needed > MAXIMUM_SNAPSHOT_BYTES:
        raise InvalidInputError(
            f"The table's arrays would need more than {MAXIMUM_SNAPSHOT_BYTES // 2**30} GiB; lower "
            "privacy_unit.maximum_records, or declare fewer columns or categories."
        )


def _first_records(unit_of_row: NDArray[np.intp], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are kept, and for each its place among its unit's records in file order."""
    order = np.argsort(unit_of_row, kind="stable")
    counts = np.bincount(unit_of_row)
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = places < most
    return order[kept], places[kept]


def _features(table: Table, manifest: Manifest, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    features = np.zeros((len(rows), manifest.feature_count), np.float32)
    start = 0
    for column in manifest.feature_columns:
        values = table.values[column.name][rows]
        if isinstance(column, CategoryColumn):
            features[np.arange(len(rows)), start + values.astype(np.int64)] = 1
            start += len(column.categories)
        else:
            features[:, start] = _scaled(values, column.minimum, column.maximum)
            start += 1
    return features


def _target(table: Table, manifest: Manifest, rows: NDArray[np.intp]) -> NDArray[np.float32 | np.int64]:
    column = manifest.target_column
    values = table.values[column.name][rows]
    if isinstance(column, CategoryColumn):
        return values.astype(np.int64)
    return _scaled(values, column.minimum, column.maximum)


def _scaled(values: Values, minimum: float, maximum: float) -> NDArray[np.float32]:
    """Map [minimum, maximum] to [−1, 1]: 2(x − minimum)/(maximum − minimum) − 1."""
    scaled = 2 * ((values.astype(np.float64) - minimum) / (maximum - minimum)) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)
