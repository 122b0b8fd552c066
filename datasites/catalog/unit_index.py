"""First pass over a table: who is in it, on which side, and where each record will stand; in memory that stays flat."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.external_sort import UNFINISHED, ExternalSort, read_exactly, write_all
from datasites.catalog.fingerprints import is_holdout, unit_fingerprint
from datasites.catalog.keys import CatalogKeys
from datasites.catalog.table import Table, read_batches
from datasites.catalog.table_checks import Batch
from policies.errors import InvalidInputError
from policies.manifest import FEWEST_OF_NOMINAL, MINIMUM_UNITS, MOST_OF_NOMINAL, Manifest

_MARK_BYTES = 32
_MARKS_AT_A_TIME = 500

# One entry for each unit in each batch: who (the key is the mark's beginning), and how many records there.
_ENTRY = np.dtype([("key", "<u8"), ("mark", "<u8", (4,)), ("entry", "<u8"), ("records", "<u4"), ("held_out", "?")])
_PLACE = np.dtype([("key", "<u8"), ("unit", "<u8"), ("before", "<u4"), ("held_out", "?")])


class UnitIndex:
    """The units of a table in the order of their fingerprints, in files without a name. Use it as a context manager.

    For each unit in each batch it knows the unit's number on its side, and how many of its records came before.
    """

    def __init__(self, table: Table, manifest: Manifest, keys: CatalogKeys, folder: Path) -> None:
        """Read the whole table once.

        Raises:
            InvalidInputError: the table is not right, has too few units, or a number far from `nominal_units`.
        """
        self._stack = ExitStack()
        self._most = manifest.privacy_unit.maximum_records
        self.training_units = self.holdout_units = self.kept_records = 0
        try:
            file = tempfile.TemporaryFile(dir=folder, prefix=UNFINISHED)  # noqa: SIM115 – the stack closes it
            self._marks = self._stack.enter_context(file).fileno()
            self._places = self._stack.enter_context(ExternalSort(folder, _PLACE))
            with ExternalSort(folder, _ENTRY) as entries:
                self.names_digest = _add_entries(entries, table, manifest, keys)
                for block in entries.blocks():
                    self._number(block)
            _require_declared_size(self.training_units + self.holdout_units, manifest)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget who was there."""
        self._stack.close()

    def places(self) -> Iterator[NDArray[Any]]:
        """In the order of batches, and in a batch of `distinct_units`: `unit`, `held_out` and `before`, in blocks."""
        yield from self._places.blocks()

    def fingerprints(self) -> Iterator[list[str]]:
        """The fingerprints of all units, each once, sorted, so that their order tells nothing; some at a time."""
        size = os.fstat(self._marks).st_size
        for start in range(0, size, _MARKS_AT_A_TIME * _MARK_BYTES):
            content = bytearray(min(size - start, _MARKS_AT_A_TIME * _MARK_BYTES))
            read_exactly(self._marks, memoryview(content), start)
            yield [content[at : at + _MARK_BYTES].hex() for at in range(0, len(content), _MARK_BYTES)]

    def _number(self, block: NDArray[Any]) -> None:
        marks = block["mark"]
        order = np.lexsort((block["entry"], *(marks[:, part] for part in (3, 2, 1, 0))))
        entries, marks = block[order], marks[order]
        is_first = np.concatenate([[True], (marks[1:] != marks[:-1]).any(axis=1)])
        firsts = np.flatnonzero(is_first)
        whose = np.cumsum(is_first) - 1
        earlier = np.cumsum(entries["records"], dtype=np.uint64) - entries["records"]
        before = np.minimum(earlier - earlier[firsts][whose], self._most)
        held_out = entries["held_out"][firsts]
        counts = np.add.reduceat(entries["records"], firsts, dtype=np.uint64)
        numbers = np.where(
            held_out, self.holdout_units + np.cumsum(held_out), self.training_units + np.cumsum(~held_out)
        )
        placed = np.zeros(len(entries), _PLACE)
        placed["key"], placed["unit"] = entries["entry"], numbers[whose] - 1
        placed["before"], placed["held_out"] = before, held_out[whose]
        self._places.add(placed)
        write_all(self._marks, entries["mark"][firsts].astype(">u8"))
        self.holdout_units += int(held_out.sum())
        self.training_units += int((~held_out).sum())
        self.kept_records += int(np.minimum(counts, self._most).sum())


def distinct_units(batch: Batch) -> tuple[list[str], NDArray[np.int64]]:
    """The names of a batch's units, each once, and for each row which of them it is of."""
    names, whose = np.unique(batch.units, return_inverse=True)
    return names.tolist(), whose.astype(np.int64)


def update_names_digest(hasher: Any, names: list[str], whose: NDArray[np.int64]) -> None:
    """Take a batch's units into the digest by which the second pass knows that it reads the same table."""
    hasher.update(repr(names).encode())
    hasher.update(whose.tobytes())


def _add_entries(entries: ExternalSort, table: Table, manifest: Manifest, keys: CatalogKeys) -> bytes:
    hasher = sha256()
    for batch in read_batches(table, manifest):
        names, whose = distinct_units(batch)
        update_names_digest(hasher, names, whose)
        marks = bytes.fromhex("".join(unit_fingerprint(name, keys.fingerprint) for name in names))
        found = np.zeros(len(names), _ENTRY)
        found["mark"] = np.frombuffer(marks, ">u8").reshape(-1, 4)
        found["key"] = found["mark"][:, 0]
        found["entry"] = entries.total + np.arange(len(names))
        found["records"] = np.bincount(whose, minlength=len(names))
        found["held_out"] = [is_holdout(name, keys.split, manifest.holdout.fraction) for name in names]
        entries.add(found)
    return hasher.digest()


def _require_declared_size(units: int, manifest: Manifest) -> None:
    nominal = manifest.privacy_unit.nominal_units
    if units < MINIMUM_UNITS:
        raise InvalidInputError(f"The table has fewer than {MINIMUM_UNITS} units, too few to hide anybody among them.")
    if not FEWEST_OF_NOMINAL * nominal <= units <= MOST_OF_NOMINAL * nominal:
        raise InvalidInputError(
            f"The table's number of units is not within {FEWEST_OF_NOMINAL} to {MOST_OF_NOMINAL} times the manifest's "
            f"nominal_units ({nominal}); noise and batches are sized by it, so declare the right order of size."
        )
