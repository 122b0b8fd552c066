"""A table as its owner names it: which format it has, and its checked rows, read as often as they are needed."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from datasites.catalog.csv_reader import csv_parts
from datasites.catalog.parquet_reader import parquet_parts
from datasites.catalog.table_checks import Batch, good_batches
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_PARQUET_BEGINS = (b"PAR1", b"PARE")


@contextmanager
def open_table(path: Path) -> Iterator[BinaryIO]:
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
        yield file


def read_batches(file: BinaryIO, manifest: Manifest) -> Iterator[Batch]:
    """Read the whole table from its beginning: Parquet if it begins as such a file does, otherwise CSV.

    Every batch is checked against the manifest; a batch, and what is needed to read it, has a bounded size.

    Raises:
        InvalidInputError: listing the first problems by row; for the owner's eyes, and still without any cell's value.
    """
    file.seek(0)
    is_parquet = file.read(4) in _PARQUET_BEGINS
    file.seek(0)
    return good_batches(parquet_parts(file, manifest) if is_parquet else csv_parts(file, manifest))
