"""Whole tables and snapshots as arrays in memory: what the product never holds and tests compare."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.keys import CatalogKeys
from datasites.catalog.snapshot_layout import HEADER_BYTES, SnapshotLayout, parse_layout
from datasites.catalog.snapshot_writer import write_snapshot
from datasites.catalog.table import open_table, read_batches
from datasites.catalog.table_checks import Batch
from datasites.catalog.unit_index import UnitIndex
from policies.manifest import Manifest


@dataclass(frozen=True, eq=False, repr=False)
class UnitArrays:
    """One side of the split: (n, k, d) float32 or (n, k, bytes) uint8 features, (n, k) target, (n, k) bool mask."""

    features: NDArray[np.float32 | np.uint8]
    target: NDArray[np.float32 | np.int64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """Both sides of a snapshot file."""

    layout: SnapshotLayout
    training: UnitArrays
    holdout: UnitArrays


def read_table(path: Path, manifest: Manifest) -> Batch:
    """The whole table as one batch."""
    with open_table(path) as file:
        batches = list(read_batches(file, manifest))
    values = {column.name: np.concatenate([it.values[column.name] for it in batches]) for column in manifest.columns}
    empty = {name: np.concatenate([it.empty[name] for it in batches]) for name in batches[0].empty}
    return Batch(np.concatenate([batch.units for batch in batches]), values, empty)


def freeze(path: Path, manifest: Manifest, keys: CatalogKeys, folder: Path) -> tuple[str, Path]:
    """Freeze the table at `path` into `folder`, in both passes."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with open_table(path) as table, UnitIndex(table, manifest, keys, folder) as index:
        return write_snapshot(folder, table, index, manifest, keys)


def read_snapshot(path: Path) -> Snapshot:
    """The arrays of a snapshot file."""
    content = path.read_bytes()
    layout = parse_layout(content[:HEADER_BYTES], len(content))
    units = np.frombuffer(content[HEADER_BYTES:], layout.unit_type)
    return Snapshot(layout, _side(units[: layout.training_units]), _side(units[layout.training_units :]))


def build_snapshot(path: Path, manifest: Manifest, keys: CatalogKeys) -> Snapshot:
    """The arrays of the snapshot that the table at `path` makes."""
    _, frozen = freeze(path, manifest, keys, path.parent / "frozen")
    return read_snapshot(frozen)


def write_units(path: Path, training: UnitArrays, holdout: UnitArrays) -> Path:
    """Write a snapshot file of these arrays."""
    of_bytes = "text" if training.features.ndim == 3 else "image"
    layout = SnapshotLayout(
        manifest="00" * 32,
        records=training.features.shape[1],
        features="columns" if training.features.dtype == np.float32 else of_bytes,
        shape=training.features.shape[2:],
        target=str(training.target.dtype),
        targets=training.target.shape[2:],
        training_units=len(training.mask),
        holdout_units=len(holdout.mask),
    )
    with path.open("wb") as file:
        file.write(layout.header())
        for side in (training, holdout):
            units = np.zeros(len(side.mask), layout.unit_type)
            units["features"], units["target"], units["mask"] = side.features, side.target, side.mask
            file.write(units.tobytes())
    return path


@contextmanager
def opened(folder: Path, training: UnitArrays, holdout: UnitArrays) -> Iterator[int]:
    """The read-only descriptor of a snapshot file of these arrays."""
    with write_units(folder / "units.snapshot", training, holdout).open("rb") as file:
        yield file.fileno()


def _side(units: NDArray[Any]) -> UnitArrays:
    return UnitArrays(units["features"], units["target"], units["mask"])
