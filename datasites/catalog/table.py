"""A table as its owner names it: which format it has, and its checked rows, read as often as they are needed."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.array_reader import array_parts
from datasites.catalog.csv_reader import csv_parts
from datasites.catalog.image_files import ImageFiles
from datasites.catalog.parquet_reader import parquet_parts
from datasites.catalog.table_checks import Batch, ReadWhole, good_batches
from datasites.catalog.texts import text_values
from policies.columns import ImageColumn
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_PARQUET_BEGINS = (b"PAR1", b"PARE")
_ARRAYS_BEGIN = (b"PK\3\4",)


@dataclass(frozen=True)
class Table:
    """A file of rows, and the folder that the images lie in which its cells may name."""

    file: BinaryIO
    folder: Path


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open the table at `path`, to be read by `read_batches`.

    Raises:
        InvalidInputError: it cannot be read, or is no regular file, which alone can be read twice.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInputError(f"The table {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInputError(f"The table {path} cannot be read: it is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        yield Table(file, path.parent)


def read_batches(table: Table, manifest: Manifest) -> Iterator[Batch]:
    """Read the whole table from its beginning: Parquet or NumPy's .npz if it begins as such a file does, else CSV.

    Every batch is checked against the manifest; a batch, and what is needed to read it, has a bounded size.

    Raises:
        InvalidInputError: listing the first problems by row; for the owner's eyes, and still without any cell's value.
    """
    table.file.seek(0)
    begins = table.file.read(4)
    table.file.seek(0)
    parts = parquet_parts if begins in _PARQUET_BEGINS else array_parts if begins in _ARRAYS_BEGIN else csv_parts
    with _whole_reader(table.folder, manifest) as read_whole:
        yield from good_batches(parts(table.file, manifest, read_whole))


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
