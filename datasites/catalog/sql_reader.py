"""Read a table from the owner's database strictly against its manifest, some rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from math import nan
from typing import Any

import numpy as np
from sqlalchemy import Connection, CursorResult

from datasites.catalog.checked_rows import CheckedRows, check_units, label_codes
from datasites.catalog.sql_source import MAXIMUM_CELL_BYTES, SqlQuery, answered, connected
from datasites.catalog.table_checks import (
    Batch,
    Parts,
    Problem,
    ReadWhole,
    column_places,
    expected_columns,
    refusal,
    rows_a_batch,
)
from datasites.catalog.texts import text_values
from policies.columns import ImageColumn, MeasuredColumn, NamedColumn, PlainColumn
from policies.errors import InvalidInputError
from policies.manifest import Manifest

_ROWS_A_FETCH = 128
_CHARACTERS_A_BATCH = 2**22
_NUMBERS = (int, float, Decimal, type(None))
_TEXTS = (str, int, type(None))


@dataclass(frozen=True)
class SqlTable:
    """What one statement selects in the transaction of `connection`."""

    connection: Connection
    statement: str

    def parts(self, manifest: Manifest) -> Parts:
        """The rows as the database gives them, whose first is row 1; NULL and empty text are empty cells.

        Units, categories, levels and texts are text or whole numbers, numbers are of any numeric type.

        Raises:
            InvalidInputError: the columns or their types are not the manifest's, or the database does not answer.
        """
        whole = manifest.whole_column
        if isinstance(whole, ImageColumn):
            raise InvalidInputError("Images are read from files; name a table whose cells name them, or an .npz file.")
        read_whole = None if whole is None else partial(text_values, whole)
        first_row = 1
        options = {"no_parameters": True, "stream_results": True, "max_row_buffer": _ROWS_A_FETCH}
        ask = partial(self.connection.exec_driver_sql, self.statement, execution_options=options)
        with answered(ask) as rows:
            places = column_places(rows.keys(), expected_columns(manifest), row=0)
            for some in _fetched(rows, rows_a_batch(manifest)):
                cells = {name: [row[place] for row in some] for name, place in places.items()}
                yield _batch(cells, manifest, read_whole, first_row)
                first_row += len(some)
        if first_row == 1:
            raise refusal([(0, "the query selects no rows")])


def _fetched(rows: CursorResult[Any], most: int) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows, at most so many at a time, and fewer where their cells are long."""
    fetched: list[Sequence[Any]] = []
    read = size = 0
    while some := answered(partial(rows.fetchmany, min(_ROWS_A_FETCH, most - len(fetched)))):
        for number, row in enumerate(some, start=read + 1):
            lengths = [len(cell) for cell in row if isinstance(cell, str | bytes)]
            if max(lengths, default=0) > MAXIMUM_CELL_BYTES:
                raise refusal([(number, f"a cell is longer than {MAXIMUM_CELL_BYTES} bytes; shorten it in the query")])
            size += sum(lengths)
        fetched.extend(some)
        read += len(some)
        if len(fetched) == most or size >= _CHARACTERS_A_BATCH:
            yield fetched
            fetched, size = [], 0
    if fetched:
        yield fetched


def _batch(
    cells: Mapping[str, list[Any]], manifest: Manifest, read_whole: ReadWhole | None, first_row: int
) -> tuple[Batch, list[Problem]]:
    _check_types(cells, manifest)
    unit = manifest.privacy_unit.column
    checked = CheckedRows(manifest, np.arange(first_row, first_row + len(cells[unit])))
    checked.take_units(*check_units(_texts(cells[unit])))
    for column in manifest.plain_columns:
        _take_column(checked, column, cells[column.name])
    if manifest.whole_column is not None and read_whole is not None:
        checked.take_whole(_texts(cells[manifest.whole_column.name]), read_whole)
    return checked.batch()


def _check_types(cells: Mapping[str, list[Any]], manifest: Manifest) -> None:
    measured = {column.name for column in manifest.columns if isinstance(column, MeasuredColumn)}
    problems: list[Problem] = []
    for name, column in cells.items():
        kinds, wanted = (_NUMBERS, "numbers") if name in measured else (_TEXTS, "text or whole numbers")
        if not all(type(cell) in kinds for cell in column):
            problems.append((0, f"column {name!r} does not hold {wanted} alone; cast it in the query"))
    if problems:
        raise refusal(problems)


def _take_column(checked: CheckedRows, column: PlainColumn, cells: list[Any]) -> None:
    if isinstance(column, NamedColumn):
        texts = _texts(cells)
        empty = np.array([not text.strip() for text in texts])
        checked.take_column(column, label_codes(column, texts), empty, lambda _: True)
    else:
        values = np.array([_number(cell) for cell in cells])
        checked.take_column(column, values, np.array([cell is None for cell in cells]), lambda _: True)


def _texts(cells: list[Any]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in cells]


def _number(cell: float | Decimal | None) -> float:
    try:
        return nan if cell is None else float(cell)
    except (OverflowError, ValueError):  # a whole number beyond float64, or a signalling NaN
        return nan


@contextmanager
def open_query(query: SqlQuery) -> Iterator[SqlTable]:
    """Open the database, for one transaction.

    Raises:
        InvalidInputError: the URL or the query is not accepted, or the database cannot be reached.
    """
    with connected(query) as (connection, statement):
        yield SqlTable(connection, statement)
