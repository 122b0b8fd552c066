"""Read a Parquet output: what its footer says is bounded before anything is unpacked, and compared after."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from datasites.inspection.content import MOST_CELLS, MOST_TEXT_BYTES, Content, LimitsError, at_least
from policies.disclosure.cells import Cell, Table
from policies.disclosure.file_findings import Extra
from policies.disclosure.volume import table_values
from policies.errors import InvalidInputError

_MOST_COLUMNS = 2000
_MOST_UNPACKED = 4 * MOST_TEXT_BYTES
_BETWEEN, _BETWEEN_A_CHUNK = 64, 512
_METADATA, _METADATA_A_COLUMN = 4096, 1024


def read_parquet(output: str, path: Path) -> Content:
    """Read a table of plain columns.

    Raises:
        LimitsError: it has, or says that it has, too many cells or bytes.
        InvalidInputError: it is damaged, nested, or does not hold as many rows as it says.
    """
    try:
        with parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            _check_footer(file.metadata, file.schema_arrow)
            table = Table(output, tuple(file.schema_arrow.names), tuple(_rows(file)))
            size = path.stat().st_size
            beside = _beside(file.metadata, file.schema_arrow, size)
    except (MemoryError, pa.ArrowMemoryError) as error:
        raise LimitsError from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InvalidInputError("The output is no Parquet file that can be read.") from error
    found = (Extra(output=output, bytes=beside),) if beside else ()
    return Content(output, (table,), values=at_least(table_values(table), size), found=found)


def _check_footer(metadata: parquet.FileMetaData, schema: pa.Schema) -> None:
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if len(schema) > _MOST_COLUMNS or metadata.num_rows * len(schema) > MOST_CELLS or unpacked > _MOST_UNPACKED:
        raise LimitsError
    if any(pa.types.is_nested(field.type) or isinstance(field.type, pa.BaseExtensionType) for field in schema):
        raise ValueError("nested columns are not read")


def _rows(file: parquet.ParquetFile) -> Iterator[tuple[Cell, ...]]:
    rows, size = 0, 0
    for batch in file.iter_batches(batch_size=max(1, 2**16 // max(1, len(file.schema_arrow))), use_threads=False):
        batch.validate(full=True)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > file.metadata.num_rows:
            raise ValueError("there are more rows than announced")
        if size > _MOST_UNPACKED:
            raise LimitsError
        yield from zip(*(map(_cell, column.to_pylist()) for column in batch.columns), strict=True)
    if rows != file.metadata.num_rows:
        raise ValueError("there are fewer rows than announced")


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _beside(metadata: parquet.FileMetaData, schema: pa.Schema, size: int) -> int:
    """Bytes that belong to no column, nor to a description of usual length; 0 if there are few."""
    described = sum(len(key) + len(text) for key, text in (schema.metadata or {}).items())
    described += sum(len(key) + len(text) for field in schema for key, text in (field.metadata or {}).items())
    columns = sum(
        metadata.row_group(group).column(place).total_compressed_size
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
    )
    between = size - columns - metadata.serialized_size
    usual = _METADATA + _METADATA_A_COLUMN * len(schema)
    indexed = _BETWEEN + _BETWEEN_A_CHUNK * metadata.num_row_groups * metadata.num_columns
    return (described if described > usual else 0) + (between if between > indexed else 0)
