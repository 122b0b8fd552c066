"""Read a CSV output: UTF-8, separated by commas, semicolons or tabs, bounded in every line."""

import csv
import io

from datasites.inspection.content import MOST_CELLS, MOST_TEXT_BYTES, Content, LimitsError, at_least
from policies.disclosure.cells import Table
from policies.disclosure.volume import table_values
from policies.errors import InvalidInputError

_LONGEST_LINE = 2**17
_SEPARATORS = (",", ";", "\t")


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
    if not lines:
        return Content(output)
    if max(map(len, lines)) > _LONGEST_LINE:
        raise LimitsError
    separator = max(_SEPARATORS, key=lines[0].count)
    cells, rows = 0, []
    try:
        for row in csv.reader(lines, delimiter=separator, strict=True):
            cells += len(row)
            if cells > MOST_CELLS:
                raise LimitsError
            rows.append(tuple(row))
    except csv.Error as error:
        raise InvalidInputError("The output is no CSV.") from error
    width = max(map(len, rows))
    if width * len(rows) > 2 * MOST_CELLS:
        raise LimitsError
    header, *body = (row + (None,) * (width - len(row)) for row in rows if row)
    table = Table(output, tuple(name or "" for name in header), tuple(body))
    return Content(output, (table,), values=at_least(table_values(table), data))
