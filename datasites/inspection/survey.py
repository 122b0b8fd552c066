"""The first look over a private table: how many records, each column's spread, and the answers to group queries."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasites.inspection.group_query import GroupQuery
from datasites.inspection.private_columns import Chunk, PrivateColumn
from datasites.inspection.private_tables import PrivateTable
from datasites.inspection.question import BoundedColumn
from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.cells import fold
from policies.disclosure.identity import identifying

_LARGEST_SAMPLE = 2**14

Affine = tuple[float, float]
"""What is taken off a number, and what it is then divided by."""


@dataclass
class Spread:
    """A column's numbers so far."""

    filled: int = 0
    minimum: float = np.inf
    maximum: float = -np.inf
    mean: float = 0.0
    squares: float = 0.0
    sample: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """An even choice of them."""
    step: int = 1

    def update(self, numbers: NDArray[np.float64]) -> None:
        """Take in further numbers, NaN where there is none (Chan, Golub & LeVeque's pairwise update)."""
        known = numbers[~np.isnan(numbers)]
        if not known.size:
            return
        mean, total = float(known.mean()), self.filled + known.size
        difference = mean - self.mean
        self.squares += float(((known - mean) ** 2).sum()) + difference**2 * self.filled * known.size / total
        self.mean += difference * known.size / total
        self.filled = total
        self.sample = np.concatenate([self.sample, known[:: self.step]])
        while self.sample.size > _LARGEST_SAMPLE:
            self.sample, self.step = self.sample[::2], 2 * self.step
        self.minimum, self.maximum = min(self.minimum, float(known.min())), max(self.maximum, float(known.max()))

    def chances(self, numbers: NDArray[np.float64], tolerances: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely some number of the column lies within the tolerance of each of `numbers` by chance [numbers].

        The column is taken to be as dense around each as the nearest hundredth of it is.
        """
        if not self.sample.size:
            return np.ones(numbers.size)
        ordered = np.sort(self.sample)
        near = max(5, ordered.size // 200)
        place = np.searchsorted(ordered, numbers)
        low, high = (place - near).clip(0, ordered.size - 1), (place + near).clip(0, ordered.size - 1)
        width = np.maximum(ordered[high] - ordered[low], 2 * tolerances)
        expected = self.filled * (high - low + 1) / ordered.size * 2 * tolerances / width
        return np.asarray(-np.expm1(-expected), np.float64)

    def scalings(self) -> list[Affine]:
        """The usual rescalings by the column's own figures: to [0, 1], and by mean and deviation, both kinds."""
        if self.filled < 2 or not np.isfinite(self.squares) or self.maximum <= self.minimum:
            return []
        deviations = [(self.squares / self.filled) ** 0.5, (self.squares / (self.filled - 1)) ** 0.5]
        return [(self.minimum, self.maximum - self.minimum), *((self.mean, it) for it in deviations if it > 0)]


@dataclass(frozen=True)
class Survey:
    """What the first look found."""

    table: PrivateTable
    records: int
    spreads: dict[str, Spread]
    scalings: dict[str, tuple[Affine, ...]]
    identifying: dict[str, set[float | str]] = field(default_factory=dict)
    """By identifying column, those of its values that are among the names that were looked for."""


def column_names(table: PrivateTable) -> tuple[str, ...]:
    """The columns of a private table; none if it is empty.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    for chunk in table.chunks():
        return tuple(chunk)
    return ()


def survey(
    table: PrivateTable,
    queries: Iterable[GroupQuery],
    names: set[float | str],
    unit_column: str | None,
    bounded: Iterable[BoundedColumn],
) -> Survey:
    """Read the table once.

    Args:
        names: the words of all outputs that could be identifiers.
        unit_column: the column that names whose privacy is protected; others are found by their looks.
        bounded: columns with public bounds, by which numbers may be rescaled.

    Raises:
        InvalidInputError: the file cannot be read to its end.
    """
    queries, records = list(queries), 0
    spreads: dict[str, Spread] = {}
    found: dict[str, set[float | str]] = {}
    words = {name for name in names if isinstance(name, str)}
    numbers = np.array(sorted(name for name in names if not isinstance(name, str)), np.float64)
    for chunk in table.chunks():
        if not spreads:
            spreads = {name: Spread() for name in chunk}
            found = {name: set() for name, column in chunk.items() if _identifies(name, column, unit_column)}
        records += _size(chunk)
        for name, column in chunk.items():
            spreads[name].update(column.numbers)
        for name in found:
            found[name].update(words.intersection(chunk[name].words))
            found[name].update(chunk[name].numbers[np.isin(chunk[name].numbers, numbers)].tolist())
        for query in queries:
            query.update(chunk)
    bounds = {fold(it.name): ((it.minimum, it.maximum - it.minimum), _middle(it)) for it in bounded}
    scalings = {name: (*spread.scalings(), *bounds.get(fold(name), ())) for name, spread in spreads.items()}
    return Survey(table, records, spreads, scalings, found)


def places(column: PrivateColumn, vocabulary: Vocabulary, scalings: Iterable[Affine]) -> Iterable[NDArray[np.int64]]:
    """Where the values, as they are and rescaled, agree with the vocabulary: place or −1 [records], in turn."""
    if column.words:
        yield column.word_places(vocabulary)
    if not np.isnan(column.numbers).all():
        yield from vocabulary.numbers(column.numbers)
        for offset, scale in scalings:
            yield from vocabulary.numbers((column.numbers - offset) / scale, fine=True)


def _identifies(name: str, column: PrivateColumn, unit_column: str | None) -> bool:
    return (unit_column is not None and fold(name) == fold(unit_column)) or identifying(column.values())


def _middle(column: BoundedColumn) -> Affine:
    return ((column.minimum + column.maximum) / 2, (column.maximum - column.minimum) / 2)


def _size(chunk: Chunk) -> int:
    return next((column.codes.size for column in chunk.values()), 0)
