"""The private files as tables, read a bounded piece at a time: CSV, Parquet, JSON lines, NumPy arrays, safetensors."""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from datasites.inspection.private_columns import Chunk, number_column, private_column
from datasites.inspection.tensor_file import read_tensor_file
from policies.errors import InvalidInputError

_CELLS_A_CHUNK = 2**19
_LINES_A_CHUNK = 2**14
_MOST_WHOLE = 64 * 1024 * 1024
_PAGE_BUFFER = 2**16
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class PrivateTable:
    """One private file that is read as a table, as often as its chunks are asked for."""

    path: Path
    read: Callable[[Path], Iterator[Chunk]]

    def chunks(self) -> Iterator[Chunk]:
        """Consecutive records, every chunk with the same columns.

        Raises:
            InvalidInputError: the file cannot be read to its end.
        """
        try:
            yield from self.read(self.path)
        except (
            ValueError,
            OSError,
            TypeError,
            KeyError,
            OverflowError,
            csv.Error,
            MemoryError,
            pa.ArrowException,
        ) as e:
            raise InvalidInputError(f"The private file {self.path.name} could not be read as a table.") from e


def private_tables(path: Path) -> list[PrivateTable] | None:
    """The tables of a file by its suffix, one for each tensor of safetensors; None if no reader fits.

    Raises:
        InvalidInputError: a safetensors file is damaged.
    """
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return [PrivateTable(path, _tensor_reader(place)) for place in range(len(read_tensor_file(path).tensors))]
    reader = _READERS.get(suffix)
    return None if reader is None else [PrivateTable(path, reader)]


def _rows(columns: int) -> int:
    return max(1, _CELLS_A_CHUNK // max(1, columns))


def _frame(frame: pd.DataFrame) -> Chunk:
    return {str(name): private_column(frame.iloc[:, place]) for place, name in enumerate(frame.columns)}


def _columns(values: NDArray[Any]) -> Chunk:
    return {str(place): number_column(values[:, place].astype(np.float64)) for place in range(values.shape[1])}


def _csv(path: Path) -> Iterator[Chunk]:
    separator = _SEPARATORS[path.suffix.lower()]
    options: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "encoding_errors": "replace"}
    columns = len(pd.read_csv(path, nrows=0, **options).columns)
    with pd.read_csv(path, chunksize=_rows(columns), index_col=False, **options) as pieces:
        yield from map(_frame, pieces)


def _json_lines(path: Path) -> Iterator[Chunk]:
    columns: dict[Any, None] = {}
    for piece in _json_pieces(path):
        columns.update(dict.fromkeys(piece.columns))
    for piece in _json_pieces(path):
        yield _frame(piece.reindex(columns=list(columns)))


def _json_pieces(path: Path) -> Iterator[pd.DataFrame]:
    with pd.read_json(path, lines=True, chunksize=_LINES_A_CHUNK, dtype=False, convert_dates=False) as pieces:
        yield from pieces


def _json(path: Path) -> Iterator[Chunk]:
    if path.stat().st_size > _MOST_WHOLE:
        raise ValueError("a JSON document is read whole, and this one is too large for it; keep it as JSON lines")
    yield _frame(pd.read_json(path, dtype=False, convert_dates=False))


def _parquet(path: Path) -> Iterator[Chunk]:
    with parquet.ParquetFile(path, memory_map=False, buffer_size=_PAGE_BUFFER, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=_rows(len(file.schema_arrow)), use_threads=False):
            yield _frame(batch.to_pandas())


def _numpy(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read_header(file)
        if (by_columns and len(shape) > 1) or dtype.kind not in "fiub":
            raise ValueError("only numbers stored record by record are read")
        width = math.prod(shape[1:])
        rows = _rows(width)
        for first in range(0, shape[0] if shape and width else 0, rows):
            count = min(rows, shape[0] - first)
            yield _columns(np.fromfile(file, dtype, count * width).reshape(count, width))


def _tensor_reader(place: int) -> Callable[[Path], Iterator[Chunk]]:
    def read(path: Path) -> Iterator[Chunk]:
        tensor = read_tensor_file(path).tensors[place]
        records = tensor.shape[0] if tensor.shape else 1
        width = math.prod(tensor.shape[1:])
        rows = _rows(width)
        for first in range(0, records if width else 0, rows):
            count = min(rows, records - first)
            yield _columns(tensor.read(path, first * width, count * width).reshape(count, width))

    return read


_READERS: dict[str, Callable[[Path], Iterator[Chunk]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".npy": _numpy,
}
