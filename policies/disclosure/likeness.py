"""How far an output's values agree with single records or columns of the private data beyond what chance explains.

A value that many records have says little, one that few have much: each counts as many bits as it halves the number of
records that have it. A row is taken for a record's when its agreeing values, taken together, would by chance agree in
less than one record in a hundred such outputs. What is computed from a record by other means than rounding, choice and
order of columns, or a common rescaling (an encryption, a sum with other numbers) is not seen, nor a record among more
than half again as many foreign values.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
"""Places in the vocabulary of an output's values, each value once."""

Item = TypeVar("Item")

FEWEST_CELLS = 3
"""What has fewer different values is never taken for a record."""

_LEAST_SHARE = 0.4
_CHANCE_OF_ONE = 0.01
_CHANCE_OF_MANY = 0.05
_FEWEST_ROWS, _SHARE_OF_ROWS = 5, 0.5
_COPY_SHARE = 0.9
_COPY_BITS = 20.0


def information(counts: NDArray[np.int64], records: int) -> NDArray[np.float64]:
    """Bits that each value of the vocabulary tells of whose record it is; 0 if no record has it.

    Args:
        counts: in how many private records each value stands [values].
        records: all of them.
    """
    bits = np.log2((records + 1) / (np.minimum(counts, records) + 1))
    return np.where(counts > 0, bits, 0.0)


def could_be_record(row: Ids, bits: NDArray[np.float64], records: int) -> bool:
    """Whether so many values of a row are values of the private data that it may be one of its records."""
    known = bits[row]
    agreeing = int((known > 0).sum())
    return agreeing >= max(FEWEST_CELLS, math.ceil(_LEAST_SHARE * row.size)) and float(known.sum()) >= math.log2(
        records + 1
    )


def agreement(worth: float, cells: int, size: int) -> float:
    """Bits by which a row agrees with one record beyond the many ways to choose the cells that agree; 0 if too few do.

    Args:
        worth: bits of the values that agree.
        cells: how many they are.
        size: how many values the row has.
    """
    if cells < max(FEWEST_CELLS, math.ceil(_LEAST_SHARE * size)):
        return 0.0
    return max(0.0, worth - math.log2(math.comb(size, cells)))


def record_rows(best: NDArray[np.float64], rows: int, records: int) -> int:
    """How many rows of one output repeat a record.

    A single row must agree beyond chance in spite of all the rows that were tried; where at least five, and half of
    all rows, agree with records, it is enough that each would by chance in one case of twenty.

    Args:
        best: for each row that could be a record, the bits in which it agrees with its likest record [rows].
        rows: all rows of the output.
    """
    chance = records * np.exp2(-best)
    alone = int((chance * max(1, best.size) < _CHANCE_OF_ONE).sum())
    together = int((chance < _CHANCE_OF_MANY).sum())
    return max(alone, together if together >= max(_FEWEST_ROWS, _SHARE_OF_ROWS * rows) else 0)


def is_copy(counts: NDArray[np.int64], chances: NDArray[np.float64], minimum_group: int) -> bool:
    """Whether a list's distinct values are those of one private column, each in few records.

    Args:
        counts: in how many records each value of the list stands in that column [values].
        chances: how likely a number like it would stand there by chance [values].
    """
    rare = (counts > 0) & (counts < minimum_group)
    if counts.size < minimum_group or rare.sum() < _COPY_SHARE * counts.size:
        return False
    return float(-np.log2(np.clip(chances[rare], 1e-9, 1.0)).sum()) >= _COPY_BITS


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread over all."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).astype(int)]
