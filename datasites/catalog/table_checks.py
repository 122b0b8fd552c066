"""What a table must satisfy in any format: batches of checked rows, and problems told without any cell's value."""

import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from policies.errors import InvalidInputError
from policies.manifest import Manifest

MAXIMUM_PROBLEMS = 20
_CELLS_A_BATCH = 2**19
_ROWS_A_BATCH = 2**15
_BYTES_A_BATCH = 2**23

Values = NDArray[np.float64 | np.int64 | np.uint8]
ReadWhole = Callable[[Sequence[str]], tuple[NDArray[np.uint8], Mapping[int, str]]]
"""Makes of the cells of a text or image column its values, and says at which places a cell is wrong, and why."""

Problem = tuple[int, str]
"""A row of the file, 0 for its columns as such, and what is wrong there."""


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """Some checked rows in file order: for each its unit, and for each column of the manifest its values.

    `values[name]` has one entry a row: float64 within the bounds for numbers and integers, the int64 index of a
    category or level, uint8 [c, h, w] for an image, uint8 [maximum_bytes] for a text: UTF-8 padded with zeros.
    `empty[name]` says where a cell was empty, for a column with a rule for that: it has the declared value there.
    """

    units: NDArray[np.str_]
    values: Mapping[str, Values]
    empty: Mapping[str, NDArray[np.bool_]]


Parts = Generator[tuple[Batch, list[Problem]], None, None]
"""Rows as a reader gives them, some at a time, and what is wrong in them. Whoever stops early closes it."""


def rows_a_batch(manifest: Manifest) -> int:
    """How many rows are read at a time, so that a batch has a bounded size."""
    whole = 1 if manifest.whole_column is None else prod(manifest.feature_shape)
    return max(1, min(_ROWS_A_BATCH, _CELLS_A_BATCH // len(expected_columns(manifest)), _BYTES_A_BATCH // whole))


def expected_columns(manifest: Manifest) -> tuple[str, ...]:
    """The names of all columns: the privacy unit's, then the manifest's."""
    return (manifest.privacy_unit.column, *(column.name for column in manifest.columns))


def good_batches(parts: Parts) -> Iterator[Batch]:
    """The batches up to the first problem; then the rest is read for further ones, and the table is refused.

    Raises:
        InvalidInputError: listing the first problems by row; for the owner's eyes, and still without any cell's value.
    """
    problems: list[Problem] = []
    with closing(parts):
        for batch, found in parts:
            problems.extend(found)
            if len(problems) >= MAXIMUM_PROBLEMS:
                break
            if not problems:
                yield batch
    if problems:
        raise refusal(problems)


def refusal(problems: list[Problem]) -> InvalidInputError:
    """The error that lists the first of `problems`."""
    shown = sorted(problems)[:MAXIMUM_PROBLEMS]
    lines = "\n".join(f"  row {row}: {fault}" if row else f"  {fault}" for row, fault in shown)
    more = f", of which these are the first {MAXIMUM_PROBLEMS}" if len(problems) >= MAXIMUM_PROBLEMS else ""
    return InvalidInputError(f"The table does not agree with its manifest. Mend these problems{more}:\n{lines}")


def column_places(names: Iterable[str], expected: Sequence[str], row: int) -> dict[str, int]:
    """Where each expected column stands. An undeclared name is not repeated: without a header it would be a value.

    Args:
        row: the row that the names stand in, 0 if none.

    Raises:
        InvalidInputError: the columns are not exactly those expected.
    """
    cleaned = [unicodedata.normalize("NFC", name.strip()) for name in names]
    problems, seen = [], set[str]()
    for position, name in enumerate(cleaned, start=1):
        if name not in expected:
            problems.append((row, f"column {position} of the header is not in the manifest; remove or declare it"))
        elif name in seen:
            problems.append((row, f"column {name!r} stands there twice"))
        seen.add(name)
    problems.extend((row, f"column {name!r} of the manifest is missing") for name in expected if name not in cleaned)
    if problems:
        raise refusal(problems)
    return {name: position for position, name in enumerate(cleaned)}
