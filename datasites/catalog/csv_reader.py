"""Read a CSV table strictly against its manifest; say in which rows it is wrong, never what stands there."""

import csv
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.checked_rows import CheckedRows, check_units, label_codes
from datasites.catalog.table_checks import (
    MAXIMUM_PROBLEMS,
    Parts,
    Problem,
    ReadWhole,
    column_places,
    expected_columns,
    refusal,
    rows_a_batch,
)
from policies.columns import NamedColumn, PlainColumn
from policies.manifest import Manifest

_LONGEST_LINE = 2**19
_CHARACTERS_A_BATCH = 2**23
_NO_NUMBER = re.compile(r"[^0-9.eE+-]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class _Lines:
    """The lines of a text, none longer than `_LONGEST_LINE`, and how many characters were read."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise csv.Error("the line is too long")
            self.characters += len(line)
            yield line


def csv_parts(file: BinaryIO, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    """Read the table in `file` from its place: UTF-8, comma-separated, a header row, the columns in any order.

    Raises:
        InvalidInputError: the header is not the manifest's.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _parts(_Lines(text), manifest, read_whole)
    finally:
        text.detach()


def _parts(lines: _Lines, manifest: Manifest, read_whole: ReadWhole) -> Parts:
    reader = csv.reader(lines, strict=True)
    expected = expected_columns(manifest)
    header, broken = _take(reader, lines, 1)
    if broken or not header:
        raise refusal([(1, broken or "the file is empty; a header and rows are expected")])
    places = column_places(header[0], expected, row=1)
    first_row = 2
    while True:
        rows, broken = _take(reader, lines, rows_a_batch(manifest))
        if not rows and broken is None:
            break
        numbers = np.arange(first_row, first_row + len(rows))
        first_row += len(rows)
        ragged = np.fromiter(map(len, rows), np.int64, len(rows)) != len(expected)
        problems: list[Problem] = []
        if ragged.any():
            fault = f"does not have {len(expected)} fields; check commas and quotes"
            problems.extend((int(number), fault) for number in numbers[ragged][:MAXIMUM_PROBLEMS])
            rows = [row for row in rows if len(row) == len(expected)]
            numbers = numbers[~ragged]
        cells = list(zip(*rows, strict=True)) if rows else [()] * len(expected)
        checked = CheckedRows(manifest, numbers)
        checked.take_units(*check_units(cells[places[expected[0]]]))
        for column in manifest.plain_columns:
            _take_column(checked, column, cells[places[column.name]])
        if manifest.whole_column is not None:
            checked.take_whole(cells[places[manifest.whole_column.name]], read_whole)
        batch, found = checked.batch()
        problems.extend(found)
        if broken:
            problems.append((first_row, broken))
        yield batch, problems
        if broken:
            return
    if first_row == 2:
        raise refusal([(1, "the header is followed by no rows")])


def _take(reader: Iterator[list[str]], lines: _Lines, count: int) -> tuple[list[list[str]], str | None]:
    """Read up to `count` rows, and what stopped the reading; the exception, which may hold bytes, ends here."""
    rows: list[list[str]] = []
    most = lines.characters + _CHARACTERS_A_BATCH
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == count or lines.characters > most:
                break
    except UnicodeDecodeError:
        return rows, "here or a little later the file is not UTF-8; save it as UTF-8"
    except csv.Error:
        return rows, "quotes or line ends are not those of a CSV file, or a line or field is too long"
    return rows, None


def _take_column(checked: CheckedRows, column: PlainColumn, cells: tuple[str, ...]) -> None:
    values = label_codes(column, cells) if isinstance(column, NamedColumn) else _numbers(cells)
    # A good cell of another kind is not empty, and need not be looked at again.
    doubtful = np.flatnonzero(values < 0 if isinstance(column, NamedColumn) else np.isnan(values))
    empty = np.zeros(len(cells), np.bool_)
    empty[doubtful] = [not cells[place].strip() for place in doubtful]
    checked.take_column(column, values, empty, lambda place: _NUMBER.fullmatch(cells[place]) is not None)


def _numbers(cells: tuple[str, ...]) -> NDArray[np.float64]:
    """Parse decimal numbers; NaN where a cell is none.

    One scan over all characters shuts out what `float` would take besides: spaces, underscores, other scripts' digits,
    "nan" and "infinity".
    """
    if not _NO_NUMBER.search("".join(cells)):
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
    return np.fromiter((float(cell) if _NUMBER.fullmatch(cell) else np.nan for cell in cells), np.float64, len(cells))
