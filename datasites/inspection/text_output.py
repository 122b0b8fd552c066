"""Read a plain text output: its lines are seen as rows of whatever stands between spaces and separators."""

import re

from datasites.inspection.content import MOST_CELLS, MOST_TEXT_BYTES, Content, LimitsError
from policies.disclosure.cells import Table
from policies.disclosure.volume import text_values
from policies.errors import InvalidInputError

_BETWEEN = re.compile(r"[\s,;|:=(){}\[\]\"']+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read_text(output: str, data: bytes) -> Content:
    """Read UTF-8 text.

    Raises:
        LimitsError: it is too long or has too many words.
        InvalidInputError: it is not UTF-8, or holds control characters.
    """
    if len(data) > MOST_TEXT_BYTES:
        raise LimitsError
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("The output is not UTF-8.") from error
    if _CONTROL.search(text):
        raise InvalidInputError("The output holds control characters.")
    rows, cells = [], 0
    for line in text.splitlines():
        row = tuple(word for word in _BETWEEN.split(line) if word)
        cells += len(row)
        if cells > MOST_CELLS:
            raise LimitsError
        if row:
            rows.append(row)
    return Content(output, (Table(output, (), tuple(rows)),), (text,), text_values(text))
