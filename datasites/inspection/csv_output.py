"""Read a CSV output: UTF-8, separated by commas, semicolons or tabs, bounded in every line."""

import csv
import io

from datasites.inspection.content import MOST_CELLS, MOST_TEXT_BYTES, Content, LimitsError, at_least
from policies.disclosure.cells import Table, plain
from policies.disclosure.volume import table_values
from policies.errors import InvalidInputError

_LONGEST_LINE = 2**17
_SEPARATORS = (",", ";", "\t")
_MOST_LEVELS = 3


def read_csv(output: str, data: bytes) -> Content:
    """Read a table with a header; rows may have any length.

    Raises:
        LimitsError: it is too large, a line too long, or there are too many cells.
        InvalidInputError: it is no CSV in UTF-8.
    """
    if len(data) > MOST_TEXT_BYTES:
        raise LimitsError
    try:
        lines = io.StringIO(data.decode("utf-8-sig"), newline="").readlines()
    except UnicodeDecodeError as error:
        raise InvalidInputError("The output is not UTF-8.") from error
    if max(map(len, lines), default=0) > _LONGEST_LINE:
        raise LimitsError
    separator = max(_SEPARATORS, key=lines[0].count) if lines else ","
    cells, rows = 0, []
    try:
        for row in csv.reader(lines, delimiter=separator, strict=True):
            cells += len(row)
            if cells > MOST_CELLS:
                raise LimitsError
            if row:
                rows.append(tuple(row))
    except csv.Error as error:
        raise InvalidInputError("The output is no CSV.") from error
    if not rows:
        return Content(output, values=at_least(0, len(data)))
    width = max(map(len, rows))
    if width * len(rows) > 2 * MOST_CELLS:
        raise LimitsError
    header, *body = (row + (None,) * (width - len(row)) for row in rows)
    columns, first = _header(header, body)
    table = Table(output, columns, tuple(body[first:]))
    return Content(output, (table,), values=at_least(table_values(table), len(data)))


def _header(header: tuple[str | None, ...], body: list[tuple[str | None, ...]]) -> tuple[tuple[str, ...], int]:
    """The columns' names, and how many rows below the header belong to it, as where pandas writes levels of names."""
    first = 0
    if len(set(header)) < len(header):
        while first < min(_MOST_LEVELS, len(body) - 1) and not any(
            isinstance(plain(cell), float) for cell in body[first]
        ):
            first += 1
    levels = [header, *body[:first]]
    return tuple(" ".join(name for level in levels if (name := level[place])) for place in range(len(header))), first
