"""Tables as outputs hold them, and one spelling for each cell, whatever its type was."""

import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

Cell = str | int | float | bool | None

INDEX = "(index)"
"""What a column is called that holds the names of a JSON object's fields."""

VALUE = "value"
"""What a column is called that holds their values."""

EXACT = 7
"""The decimals from which on a number counts as not rounded."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BEGIN_NUMBER = frozenset("0123456789.+-")
_LONGEST_NUMBER = 40
_EMPTY = frozenset({"", "nan", "none", "null", "na", "<na>", "nat"})


@dataclass(frozen=True)
class Table:
    """Rows of cells. A column without a name has "", rows of plain text have no columns and any length."""

    output: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def column(self, place: int) -> tuple[Cell, ...]:
        """The cells of the column at `place`, in the order of the rows."""
        return tuple(row[place] for row in self.rows)

    def is_index(self, place: int) -> bool:
        """Whether the column names or numbers the rows: the first one, if it has no name of its own but others have."""
        return place == 0 and (self.columns[0] == INDEX or (not self.columns[0] and any(self.columns)))


def plain(cell: Cell) -> float | str | None:
    """The cell's one spelling: a number for what reads as one, else folded text; None if there is nothing in it."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return float(cell) if abs(cell) < 2**1000 else str(cell)[:_LONGEST_NUMBER]
    if isinstance(cell, float):
        return cell
    return plain_text(cell)


def plain_text(text: str) -> float | str | None:
    """As `plain`, of text: numbers are recognised, case, width and spaces around do not count."""
    folded = text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()
    if folded[:1] in _BEGIN_NUMBER and len(folded) <= _LONGEST_NUMBER and _NUMBER.fullmatch(folded):
        number = float(folded)
        return number if math.isfinite(number) else folded
    folded = folded.casefold().removesuffix(" 00:00:00")
    return None if folded in _EMPTY else folded


def fold(name: str) -> str:
    """The spelling by which names of columns are compared."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def decimals(number: float) -> int:
    """How many decimals a number is written with, `EXACT` for that many or more."""
    if number == int(number):
        return 0
    exponent = Decimal(repr(number)).as_tuple().exponent
    return min(EXACT, -exponent) if isinstance(exponent, int) else EXACT


def tolerance(number: float) -> float:
    """Half the width of what is written like this number: of its last decimal, or of a millionth."""
    closest = 1e-6 * max(abs(number), 1e-2)
    return closest if (written := decimals(number)) == EXACT else max(closest, 0.5 * 10.0**-written)


def is_whole(cell: Cell) -> bool:
    """Whether the cell holds a whole number, however it is written."""
    value = plain(cell)
    return isinstance(value, float) and value == int(value)


def is_integer(cell: Cell) -> bool:
    """Whether the cell holds a whole number written without decimals."""
    return cell.strip().isdecimal() if isinstance(cell, str) else isinstance(cell, int) and not isinstance(cell, bool)
