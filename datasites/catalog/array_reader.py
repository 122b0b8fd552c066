"""Read a table of NumPy arrays, an .npz file, strictly against its manifest, some rows at a time."""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datasites.catalog.checked_rows import CheckedRows, check_units, label_codes
from datasites.catalog.table_checks import (
    Batch,
    Parts,
    Problem,
    ReadWhole,
    Values,
    column_places,
    expected_columns,
    refusal,
    rows_a_batch,
)
from policies.columns import MeasuredColumn, NamedColumn, PlainColumn, TextColumn
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_MOST_ARRAYS = 2000
_BYTES_A_BATCH = 2**24
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED = (
    "The table begins like an .npz file and cannot be read as one: write it again with numpy.savez_compressed, and a "
    "spreadsheet as CSV in UTF-8."
)
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError,
    RuntimeError, NotImplementedError, OverflowError, MemoryError,
)  # fmt: skip


def array_parts(file: BinaryIO, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    """Read the arrays in `file`, one for each column under its name, all with as many rows; the first row is row 1.

    Units, categories and texts are text (`<U`) or whole numbers, images uint8 (rows, channels, height, width). In an
    array of floating-point numbers NaN is an empty cell. Nothing is unpickled.

    Raises:
        InvalidInputError: the arrays or their types are not the manifest's; or the file is damaged.
    """
    try:
        yield from _parts(file, manifest, read_whole)
    except _BROKEN:
        raise InvalidInputError(_DAMAGED) from None


class _Array:
    """One array of the file, read row by row."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        if entry.compress_type not in _COMPRESSIONS:
            raise ValueError("an unusual compression")
        self._file = archive.open(entry)
        version = npy.read_magic(self._file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, self.type = read_header(self._file)
        if not shape or (by_columns and len(shape) > 1):
            raise ValueError("not an array of rows")
        self.rows, self.shape = shape[0], shape[1:]
        self.row_bytes = self.type.itemsize * prod(self.shape)
        if self.row_bytes > _BYTES_A_BATCH:
            raise ValueError("a row that is longer than any declared one")

    def read(self, rows: int) -> NDArray[Any]:
        """The next rows."""
        content = self._file.read(rows * self.row_bytes)
        return np.frombuffer(content, self.type).reshape(rows, *self.shape)

    def require_end(self) -> None:
        if self._file.read(1):
            raise ValueError("more rows than the header says")


def _parts(file: BinaryIO, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > _MOST_ARRAYS:
            raise ValueError("too many arrays")
        places = column_places((it.filename.removesuffix(".npy") for it in entries), expected_columns(manifest), row=0)
        arrays = {name: _Array(archive, entries[place]) for name, place in places.items()}
        _check_arrays(arrays, manifest)
        total = arrays[manifest.privacy_unit.column].rows
        step = max(1, min(rows_a_batch(manifest), _BYTES_A_BATCH // max(1, *(it.row_bytes for it in arrays.values()))))
        for start in range(0, total, step):
            count = min(step, total - start)
            numbers = np.arange(start + 1, start + 1 + count)
            yield _batch({name: it.read(count) for name, it in arrays.items()}, manifest, read_whole, numbers)
        for array in arrays.values():
            array.require_end()


def _check_arrays(arrays: Mapping[str, _Array], manifest: Manifest) -> None:
    problems = []
    rows = arrays[manifest.privacy_unit.column].rows
    numbers = {it.name for it in manifest.columns if isinstance(it, MeasuredColumn)}
    whole = manifest.whole_column
    for name, array in arrays.items():
        is_image = whole is not None and name == whole.name and not isinstance(whole, TextColumn)
        kinds, wanted = ("iuf", "numbers") if name in numbers else ("Uiu", "text (astype(str)) or whole numbers")
        if is_image and (array.type != np.uint8 or array.shape != manifest.feature_shape):
            problems.append((0, f"array {name!r} is not uint8 of the shape (rows, {str(manifest.feature_shape)[1:]}"))
        elif not is_image and (array.type.kind not in kinds or array.shape):
            problems.append((0, f"array {name!r} does not hold {wanted}, one a row"))
        elif array.rows != rows:
            problems.append((0, f"array {name!r} has another number of rows than that of the privacy unit"))
    if rows < 1:
        problems.append((0, "the table has no rows"))
    if problems:
        raise refusal(problems)


def _batch(
    cells: Mapping[str, NDArray[Any]], manifest: Manifest, read_whole: ReadWhole, numbers: NDArray[np.int64]
) -> tuple[Batch, list[Problem]]:
    checked = CheckedRows(manifest, numbers)
    checked.take_units(*check_units(_texts(cells[manifest.privacy_unit.column])))
    for column in manifest.plain_columns:
        checked.take_column(column, *_column(column, cells[column.name]), lambda _: True)
    whole = manifest.whole_column
    if isinstance(whole, TextColumn):
        checked.take_whole(_texts(cells[whole.name]), read_whole)
    elif whole is not None:
        checked.take_images(cells[whole.name])
    return checked.batch()


def _column(column: PlainColumn, cells: NDArray[Any]) -> tuple[Values, NDArray[np.bool_]]:
    """The column's values, and which cells are empty: these get the code −1, or NaN."""
    if isinstance(column, NamedColumn):
        texts = _texts(cells)
        return label_codes(column, texts), np.array([not text.strip() for text in texts])
    numbers = cells.astype(np.float64)
    return numbers, np.isnan(numbers)


def _texts(cells: NDArray[Any]) -> list[str]:
    return list(map(str, cells.tolist()))
