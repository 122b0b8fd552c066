"""Search a private table for what the outputs hold: in how many records each value is, and each row's likest record."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datasites.inspection.private_columns import Chunk
from datasites.inspection.survey import Survey, places
from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.likeness import Ids, agreement

_ROWS_A_BLOCK = 256
_RECORDS_A_PIECE = 2**14
_LOOKED_AT = 3


def presence(survey: Survey, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], dict[str, NDArray[np.uint32]]]:
    """In how many records each value stands: anywhere, rescaled too [values], and by column as it is [values] each.

    Raises:
        InvalidInputError: the table cannot be read to its end.
    """
    anywhere = np.zeros(vocabulary.size, np.int64)
    by_column = {name: np.zeros(vocabulary.size, np.uint32) for name in survey.spreads}
    for chunk in survey.table.chunks():
        for name, column in chunk.items():
            for found in places(column, vocabulary, ()):
                by_column[name] += _counted(found, vocabulary.size).astype(np.uint32)
            for found in places(column, vocabulary, survey.scalings[name]):
                anywhere += _counted(found, vocabulary.size)
    return anywhere, by_column


def likest(
    survey: Survey, vocabulary: Vocabulary, rows: Sequence[Ids], bits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each row the bits and the number of its values that agree with one and the same record, the likest [rows].

    Raises:
        InvalidInputError: the table cannot be read to its end.
    """
    best, cells = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    blocks = [_Block(first, rows[first : first + _ROWS_A_BLOCK], bits) for first in range(0, len(rows), _ROWS_A_BLOCK)]
    for chunk in survey.table.chunks():
        for hits in _pieces(chunk, survey.scalings, vocabulary):
            for block in blocks:
                block.compare(hits, best, cells)
    return best, cells


class _Block:
    """Some rows, and a table of what each value is worth for each of them."""

    def __init__(self, first: int, rows: Sequence[Ids], bits: NDArray[np.float64]) -> None:
        self._first, self._rows, self._bits = first, rows, bits
        self._values = np.unique(np.concatenate(rows))
        self._worth = np.zeros((self._values.size + 1, len(rows)), np.float32)
        for number, row in enumerate(rows):
            self._worth[np.searchsorted(self._values, row), number] = bits[row]
        self._local = np.full(bits.size + 1, self._values.size, np.int64)
        self._local[self._values] = np.arange(self._values.size)

    def compare(self, hits: list[NDArray[np.int64]], best: NDArray[np.float64], cells: NDArray[np.int64]) -> None:
        """Raise `best` and `cells` where a record of this piece is likelier than what was found before."""
        if not hits:
            return
        together = np.zeros((hits[0].size, len(self._rows)), np.float32)
        for found in hits:
            local = self._local[found]
            known = np.flatnonzero(local < self._values.size)
            together[known] += self._worth[local[known]]
        better = np.flatnonzero(together.max(axis=0) > best[self._first : self._first + len(self._rows)])
        for number in better.tolist():
            place = self._first + number
            row, likely = self._rows[number], together[:, number]
            for record in np.argsort(likely)[-_LOOKED_AT:]:
                agreeing = np.intersect1d(row, [found[record] for found in hits])
                worth = agreement(float(self._bits[agreeing].sum()), agreeing.size, row.size)
                if worth > best[place]:
                    best[place], cells[place] = worth, agreeing.size


def _pieces(
    chunk: Chunk, scalings: Mapping[str, tuple[tuple[float, float], ...]], vocabulary: Vocabulary
) -> Iterator[list[NDArray[np.int64]]]:
    found = [
        it.astype(np.int32)
        for name, column in chunk.items()
        for it in places(column, vocabulary, scalings[name])
        if (it >= 0).any()
    ]
    size = found[0].size if found else 0
    for first in range(0, size, _RECORDS_A_PIECE):
        yield [it[first : first + _RECORDS_A_PIECE].astype(np.int64) for it in found]


def _counted(found: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.bincount(found[found >= 0], minlength=size)
