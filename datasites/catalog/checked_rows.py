"""Some rows on their way from any format into a batch: each column is checked as it is taken."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from datasites.catalog.table_checks import MAXIMUM_PROBLEMS, Batch, Problem, ReadWhole, Values
from policies.columns import IntegerColumn, NamedColumn, PlainColumn
from policies.manifest import Manifest

MAXIMUM_UNIT_LENGTH = 200


def check_units(cells: Iterable[str]) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """The normalised names (NFC, no spaces around them), and which of them cannot be units."""
    names = [unicodedata.normalize("NFC", cell.strip()) for cell in cells]
    bad = [not (0 < len(name) <= MAXIMUM_UNIT_LENGTH and name.isprintable()) for name in names]
    usable = ["" if wrong else name for name, wrong in zip(names, bad, strict=True)]
    return np.array(usable, dtype=np.str_), np.array(bad, dtype=np.bool_)


def label_codes(column: NamedColumn, cells: Iterable[str]) -> NDArray[np.int64]:
    """The place of each cell among the column's categories or levels, −1 for one that is none of them."""
    index = {label: place for place, label in enumerate(column.labels)}
    return np.array([index.get(cell, -1) for cell in cells], np.int64)


class CheckedRows:
    """The columns of the rows with these `numbers`, as far as they are taken, and the problems found in them."""

    def __init__(self, manifest: Manifest, numbers: NDArray[np.int64]) -> None:
        """Take the columns of `manifest`."""
        self._manifest, self._numbers = manifest, numbers
        self._units = np.empty(0, np.str_)
        self._values: dict[str, Values] = {}
        self._empty: dict[str, NDArray[np.bool_]] = {}
        self._problems: list[Problem] = []

    def take_units(self, units: NDArray[np.str_], bad: NDArray[np.bool_]) -> None:
        """Take what `check_units` made of the privacy unit's column."""
        self._units = units
        self._note(
            bad,
            lambda _: f"the privacy unit is empty, longer than {MAXIMUM_UNIT_LENGTH}, or holds invisible characters",
        )

    def take_column(
        self, column: PlainColumn, values: Values, empty: NDArray[np.bool_], is_number: Callable[[int], bool]
    ) -> None:
        """Take a plain column: NaN or −1 where a cell is empty or holds no value of the column's type.

        Args:
            is_number: whether the cell at a place is a decimal number at all.
        """
        if column.missing is not None:
            values[empty] = _declared(column, column.missing.value)
            self._empty[column.name] = empty
        self._values[column.name] = values
        if isinstance(column, NamedColumn):
            bad, outside = values < 0, "is not one of the declared categories or levels"
        else:
            bad = ~((values >= column.minimum) & (values <= column.maximum))
            outside = f"is outside the declared bounds {column.minimum} to {column.maximum}"
            if isinstance(column, IntegerColumn):
                bad |= values != np.floor(values)

        def fault(place: int) -> str:
            value = values[place]
            if column.missing is None and empty[place]:
                return f"column {column.name!r} is empty"
            if not isinstance(column, NamedColumn) and not is_number(place):
                return f"column {column.name!r} is not a decimal number"
            if isinstance(column, IntegerColumn) and np.isfinite(value) and value != np.floor(value):
                return f"column {column.name!r} is not a whole number"
            return f"column {column.name!r} {outside}"

        self._note(bad, fault)

    def take_whole(self, cells: Sequence[str], read_whole: ReadWhole) -> None:
        """Take the cells of the text or image column."""
        assert self._manifest.whole_column is not None  # noqa: S101 – a reader asks only where there is one
        name = self._manifest.whole_column.name
        self._values[name], faults = read_whole(cells)
        bad = np.zeros(len(cells), np.bool_)
        bad[list(faults)] = True
        self._note(bad, lambda place: f"column {name!r} {faults[place]}")

    def take_images(self, images: NDArray[np.uint8]) -> None:
        """Take images that are in memory, of the declared shape."""
        assert self._manifest.whole_column is not None  # noqa: S101 – a reader asks only where there is one
        self._values[self._manifest.whole_column.name] = images

    def batch(self) -> tuple[Batch, list[Problem]]:
        """The rows, and what is wrong in them."""
        return Batch(self._units, self._values, self._empty), self._problems

    def _note(self, bad: NDArray[np.bool_], fault: Callable[[int], str]) -> None:
        places = np.flatnonzero(bad)[:MAXIMUM_PROBLEMS]
        self._problems += [(int(self._numbers[place]), fault(int(place))) for place in places]


def _declared(column: PlainColumn, value: float | str) -> float:
    """The value that stands for an empty cell, as `Batch.values` has it."""
    return column.labels.index(str(value)) if isinstance(column, NamedColumn) else float(value)
