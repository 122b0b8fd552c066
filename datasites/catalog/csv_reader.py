"""Read a CSV table strictly against its manifest; say in which rows it is wrong, never what stands there."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import repeat
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.table_checks import (
    MAXIMUM_PROBLEMS,
    Batch,
    Problem,
    ReadWhole,
    Values,
    check_units,
    column_places,
    expected_columns,
    refusal,
    rows_a_batch,
    unit_problems,
    value_problems,
    whole_problems,
)
from policies.columns import CategoryColumn, PlainColumn
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


def csv_parts(file: BinaryIO, manifest: Manifest, read_whole: ReadWhole) -> Iterator[tuple[Batch, list[Problem]]]:
    """Read the table in `file` from its place: UTF-8, comma-separated, a header row, the columns in any order.

    Raises:
        InvalidInputError: the header is not the manifest's.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _parts(_Lines(text), manifest, read_whole)
    finally:
        text.detach()


def _parts(lines: _Lines, manifest: Manifest, read_whole: ReadWhole) -> Iterator[tuple[Batch, list[Problem]]]:
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
        units, bad = check_units(cells[places[expected[0]]])
        problems.extend(unit_problems(bad, numbers))
        values: dict[str, Values] = {}
        for column in manifest.plain_columns:
            values[column.name], found = _column(column, cells[places[column.name]], numbers)
            problems.extend(found)
        if manifest.whole_column is not None:
            name = manifest.whole_column.name
            values[name], faults = read_whole(cells[places[name]])
            problems.extend(whole_problems(name, faults, numbers))
        if broken:
            problems.append((first_row, broken))
        yield Batch(units, values), problems
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


def _column(column: PlainColumn, cells: tuple[str, ...], numbers: NDArray[np.int64]) -> tuple[Values, list[Problem]]:
    values: Values
    if isinstance(column, CategoryColumn):
        index = {category: position for position, category in enumerate(column.categories)}
        values = np.fromiter(map(index.get, cells, repeat(-1)), np.int64, len(cells))
    else:
        values = _numbers(cells)
    return values, value_problems(column, values, numbers, lambda place: _unreadable(column, cells[place]))


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


def _unreadable(column: PlainColumn, cell: str) -> str | None:
    if not cell.strip():
        return "is empty"
    if not isinstance(column, CategoryColumn) and not _NUMBER.fullmatch(cell):
        return "is not a decimal number"
    return None
