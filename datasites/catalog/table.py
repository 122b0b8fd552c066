"""A table as its owner names it: which format it has, and its checked rows, read as often as they are needed."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.array_reader import array_parts
from datasites.catalog.csv_reader import csv_parts
from datasites.catalog.image_files import ImageFiles
from datasites.catalog.parquet_reader import parquet_parts
from datasites.catalog.sql_reader import open_query
from datasites.catalog.sql_source import SqlQuery
from datasites.catalog.table_checks import Batch, Parts, ReadWhole, good_batches
from datasites.catalog.texts import text_values
from policies.columns import ImageColumn
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_PARQUET_BEGINS = (b"PAR1", b"PARE")
_ARRAYS_BEGIN = (b"PK\3\4",)


class Table(Protocol):
    """Rows that can be read from their beginning as often as one likes."""

    def parts(self, manifest: Manifest) -> Parts:
        """The rows, some at a time, and what is wrong in them."""


@dataclass(frozen=True)
class FileTable:
    """A file of rows, and the folder below which the images lie that its cells may name."""

    file: BinaryIO
    folder: Path

    def parts(self, manifest: Manifest) -> Parts:
        """Read as Parquet or NumPy's .npz if the file begins as such a file does, otherwise as CSV."""
        self.file.seek(0)
        begins = self.file.read(4)
        self.file.seek(0)
        read = parquet_parts if begins in _PARQUET_BEGINS else array_parts if begins in _ARRAYS_BEGIN else csv_parts
        with _whole_reader(self.folder, manifest) as read_whole:
            yield from read(self.file, manifest, read_whole)


@contextmanager
def open_table(source: Path | SqlQuery) -> Iterator[Table]:
    """Open a table, to be read by `read_batches`.

    Raises:
        InvalidInputError: it cannot be read, or is no regular file, which alone can be read twice.
    """
    with open_query(source) if isinstance(source, SqlQuery) else _open_file(source) as table:
        yield table


@contextmanager
def _open_file(path: Path) -> Iterator[FileTable]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInputError(f"The table {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInputError(f"The table {path} cannot be read: it is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        yield FileTable(file, path.parent)


def read_batches(table: Table, manifest: Manifest) -> Iterator[Batch]:
    """Read the whole table from its beginning.

    Every batch is checked against the manifest; a batch, and what is needed to read it, has a bounded size.

    Raises:
        InvalidInputError: listing the first problems by row; for the owner's eyes, and still without any cell's value.
    """
    return good_batches(table.parts(manifest))


@contextmanager
def _whole_reader(folder: Path, manifest: Manifest) -> Iterator[ReadWhole]:
    whole = manifest.whole_column
    if isinstance(whole, ImageColumn):
        with ImageFiles(folder, whole) as images:
            yield images.values
    elif whole is not None:
        yield partial(text_values, whole)
    else:
        yield _nothing


def _nothing(cells: Sequence[str]) -> tuple[NDArray[np.uint8], Mapping[int, str]]:
    return np.zeros((len(cells), 0), np.uint8), {}
