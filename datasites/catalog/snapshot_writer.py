"""Second pass over a table: its records, grouped by unit, written as a snapshot with a keyed commitment."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.external_sort import UNFINISHED, ExternalSort, write_all
from datasites.catalog.keys import CatalogKeys
from datasites.catalog.records import fill_records, record_features, record_target, record_type
from datasites.catalog.snapshot import snapshot_commitment
from datasites.catalog.snapshot_layout import SnapshotLayout, layout_of
from datasites.catalog.table import Table, read_batches
from datasites.catalog.unit_index import UnitIndex, distinct_units, update_names_digest
from datasites.protocol.private_files import sync_folder
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_BYTES_AT_A_TIME = 2**23
_CHANGED = "The table changed while it was read; nothing was kept. Register it again, and let nobody write to it."


def write_snapshot(
    folder: Path, table: Table, index: UnitIndex, manifest: Manifest, keys: CatalogKeys
) -> tuple[str, Path]:
    """Freeze `table` into the private `folder`; gives the keyed commitment and the file, mode 0400.

    The first `maximum_records` of each unit by file order are kept, units stand in keyed order. The file appears whole
    and durable, or not at all; the same table gives the same commitment, in whichever format. While it is written the
    disk holds the kept records a second time, in a file without a name.

    Raises:
        InvalidInputError: the disk is too small, or the table is not the one that `index` was made of.
    """
    layout = layout_of(manifest, index.training_units, index.holdout_units)
    record = record_type(manifest)
    _require_room(folder, layout.file_bytes + index.kept_records * record.itemsize)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=UNFINISHED)
    partial, hasher = Path(name), sha256()
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file, ExternalSort(folder, record) as records:
            _sort_records(records, table, index, manifest)
            for part in _parts(records, layout, manifest):
                write_all(descriptor, part)
                hasher.update(part.data)
            os.fchmod(descriptor, 0o400)
            os.fsync(file.fileno())
        commitment = snapshot_commitment(hasher.digest(), keys.commitment)
        path = folder / f"{commitment}.snapshot"
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(folder)
    return commitment, path


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InvalidInputError(
            f"Freezing this table needs {needed / 2**30:.1f} GiB in {folder}, where {free / 2**30:.1f} GiB are free; "
            "make room, lower privacy_unit.maximum_records, or declare fewer columns, categories or bytes."
        )


def _sort_records(records: ExternalSort, table: Table, index: UnitIndex, manifest: Manifest) -> None:
    """Add every record that is kept, by its unit's place in the file."""
    hasher = sha256()
    places = _Taker(index.places())
    for batch in read_batches(table, manifest):
        names, whose = distinct_units(batch)
        update_names_digest(hasher, names, whose)
        placed = places.take(len(names))
        place = placed["before"][whose] + _rank(whose)
        kept = place < manifest.privacy_unit.maximum_records
        units = placed["unit"] + np.where(placed["held_out"], index.training_units, 0).astype(np.uint64)
        found = np.zeros(int(kept.sum()), record_type(manifest))
        found["key"], found["place"] = units[whose[kept]], place[kept]
        fill_records(found, batch, kept, manifest)
        records.add(found)
    if hasher.digest() != index.names_digest:
        raise InvalidInputError(_CHANGED)


class _Taker:
    """Takes so many records at a time from a stream of blocks."""

    def __init__(self, blocks: Iterator[NDArray[Any]]) -> None:
        self._blocks = blocks
        self._held: NDArray[Any] | None = None

    def take(self, count: int) -> NDArray[Any]:
        while self._held is None or len(self._held) < count:
            block = next(self._blocks, None)
            if block is None:
                raise InvalidInputError(_CHANGED)
            self._held = block if self._held is None else np.concatenate([self._held, block])
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def _rank(whose: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, how many earlier rows are of the same unit."""
    order = np.argsort(whose, kind="stable")
    counts = np.bincount(whose)
    ranks = np.empty(len(whose), np.int64)
    ranks[order] = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _parts(records: ExternalSort, layout: SnapshotLayout, manifest: Manifest) -> Iterator[NDArray[Any]]:
    """The file's bytes from first to last, some at a time."""
    yield np.frombuffer(layout.header(), np.uint8)
    step = max(1, _BYTES_AT_A_TIME // layout.unit_type.itemsize)
    for block in records.blocks():
        keys = block["key"]
        for first in range(int(keys[0]), int(keys[-1]) + 1, step):
            end = min(first + step, int(keys[-1]) + 1)
            some = block[np.searchsorted(keys, first) : np.searchsorted(keys, end)]
            units = np.zeros(end - first, layout.unit_type)
            at = ((some["key"] - np.uint64(first)).astype(np.int64), some["place"])
            units["features"][at] = record_features(some, manifest)
            units["target"][at] = record_target(some, manifest)
            units["mask"][at] = True
            yield units.view(np.uint8)
