"""Read a data set's CSV file strictly against its manifest; say in which rows it is wrong, never what stands there."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError
from policies.manifest import CategoryColumn, Column, IntegerColumn, Manifest

MAXIMUM_PROBLEMS = 20
MAXIMUM_UNIT_LENGTH = 200
_ROWS_A_CHUNK = 32_768
_NO_NUMBER = re.compile(r"[^0-9.eE+-]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

Values = NDArray[np.float64 | np.int64]
Problem = tuple[int, str]
"""A row of the file (the header is row 1) and what is wrong there."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A checked table: for each row its unit, and for each column of the manifest its values.

    `values[name]` has one entry a row: float64 within the bounds for numbers and integers, the int64 index into
    `categories` for categories.
    """

    units: NDArray[np.str_]
    values: Mapping[str, Values]


def read_table(path: Path, manifest: Manifest) -> Table:
    """Read the CSV file at `path`: UTF-8, comma-separated, one header row, the manifest's columns in any order.

    Raises:
        InvalidInputError: listing the first problems by row; for the owner's eyes, and still without any cell's value.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(csv.reader(file, strict=True), manifest)
    except OSError as error:
        raise InvalidInputError(f"The table {path} cannot be read: {error.strerror}.") from error


def _read(reader: Iterator[list[str]], manifest: Manifest) -> Table:
    expected = (manifest.privacy_unit.column, *(column.name for column in manifest.columns))
    header, broken = _take(reader, 1)
    if broken or not header:
        raise _invalid([(1, broken or "the file is empty; a header and rows are expected")])
    places = _places(header[0], expected)
    units: list[NDArray[np.str_]] = []
    chunks: dict[str, list[Values]] = {column.name: [] for column in manifest.columns}
    problems: list[Problem] = []
    first_row = 2
    while len(problems) < MAXIMUM_PROBLEMS:
        rows, broken = _take(reader, _ROWS_A_CHUNK)
        numbers = np.arange(first_row, first_row + len(rows))
        ragged = np.fromiter(map(len, rows), np.int64, len(rows)) != len(expected)
        if ragged.any():
            fault = f"does not have {len(expected)} fields; check commas and quotes"
            problems.extend((int(number), fault) for number in numbers[ragged][:MAXIMUM_PROBLEMS])
            rows = [row for row in rows if len(row) == len(expected)]
            numbers = numbers[~ragged]
        cells = list(zip(*rows, strict=True)) if rows else [()] * len(expected)
        names, found = _units(cells[places[expected[0]]], numbers)
        units.append(names)
        problems.extend(found)
        for column in manifest.columns:
            values, found = _column(column, cells[places[column.name]], numbers)
            chunks[column.name].append(values)
            problems.extend(found)
        first_row += len(ragged)
        if broken:
            problems.append((first_row, broken))
        if broken or len(ragged) < _ROWS_A_CHUNK:
            break
    if first_row == 2 and not problems:
        problems.append((1, "the header is followed by no rows"))
    if problems:
        raise _invalid(problems)
    return Table(np.concatenate(units), {name: np.concatenate(parts) for name, parts in chunks.items()})


def _take(reader: Iterator[list[str]], count: int) -> tuple[list[list[str]], str | None]:
    """Read up to `count` rows, and what stopped the reading; the exception, which may hold bytes, ends here."""
    rows: list[list[str]] = []
    try:
        rows.extend(islice(reader, count))
    except UnicodeDecodeError:
        return rows, "here or a little later the file is not UTF-8; save it as UTF-8"
    except csv.Error:
        return rows, "quotes or line ends are not those of a CSV file, or a field is too long"
    return rows, None


def _places(header: list[str], expected: tuple[str, ...]) -> dict[str, int]:
    """Where each expected column stands. An undeclared name is not repeated: without a header it would be a value."""
    cleaned = [unicodedata.normalize("NFC", name.strip()) for name in header]
    problems, seen = [], set[str]()
    for position, name in enumerate(cleaned, start=1):
        if name not in expected:
            problems.append((1, f"column {position} of the header is not in the manifest; remove or declare it"))
        elif name in seen:
            problems.append((1, f"column {name!r} stands there twice"))
        seen.add(name)
    problems.extend((1, f"column {name!r} of the manifest is missing") for name in expected if name not in cleaned)
    if problems:
        raise _invalid(problems)
    return {name: position for position, name in enumerate(cleaned)}


def _units(cells: tuple[str, ...], numbers: NDArray[np.int64]) -> tuple[NDArray[np.str_], list[Problem]]:
    names = [unicodedata.normalize("NFC", cell.strip()) for cell in cells]
    fault = f"the privacy unit is empty, longer than {MAXIMUM_UNIT_LENGTH}, or holds invisible characters"
    good = np.fromiter(
        (0 < len(name) <= MAXIMUM_UNIT_LENGTH and name.isprintable() for name in names), np.bool_, len(names)
    )
    problems = [(int(number), fault) for number in numbers[~good][:MAXIMUM_PROBLEMS]]
    return np.array([] if problems else names, dtype=np.str_), problems


def _column(column: Column, cells: tuple[str, ...], numbers: NDArray[np.int64]) -> tuple[Values, list[Problem]]:
    values: Values
    if isinstance(column, CategoryColumn):
        index = {category: position for position, category in enumerate(column.categories)}
        values = np.fromiter(map(index.get, cells, repeat(-1)), np.int64, len(cells))
        bad, fault = values < 0, "is not one of the declared categories"
    else:
        values = _numbers(cells)
        bad = ~((values >= column.minimum) & (values <= column.maximum))
        fault = f"is outside the declared bounds {column.minimum} to {column.maximum}"
        if isinstance(column, IntegerColumn):
            bad |= values != np.floor(values)
    return values, [
        (int(numbers[place]), f"column {column.name!r} {_fault(column, cells[place], fault)}")
        for place in np.flatnonzero(bad)[:MAXIMUM_PROBLEMS]
    ]


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


def _fault(column: Column, cell: str, otherwise: str) -> str:
    if not cell.strip():
        return "is empty"
    if isinstance(column, CategoryColumn):
        return otherwise
    if not _NUMBER.fullmatch(cell):
        return "is not a decimal number"
    if isinstance(column, IntegerColumn) and not float(cell).is_integer() and np.isfinite(float(cell)):
        return "is not a whole number"
    return otherwise


def _invalid(problems: list[Problem]) -> InvalidInputError:
    shown = sorted(problems)[:MAXIMUM_PROBLEMS]
    lines = "\n".join(f"  row {row}: {fault}" for row, fault in shown)
    more = f", of which these are the first {MAXIMUM_PROBLEMS}" if len(problems) >= MAXIMUM_PROBLEMS else ""
    return InvalidInputError(f"The table does not agree with its manifest. Mend these problems{more}:\n{lines}")
