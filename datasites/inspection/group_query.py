"""One question put to a private table while it passes by: how many each row's group has, and their largest values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datasites.inspection.private_columns import Chunk, PrivateColumn
from datasites.inspection.vocabulary import Vocabulary
from policies.disclosure.groups import Sums

_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True)
class Counting:
    """How groups are counted: by `unit`, the column that names people, if the table has it; else by records.

    Units are told apart only up to `minimum`: in a group that has so many, its records are counted.
    """

    unit: str | None
    minimum: int
    contributors: int
    """How many of the largest values are added up."""


class GroupQuery:
    """Counts, for each row of an output, the people or records in the private data with its values in some columns."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[float | str | None]],
        counting: Counting,
        summed: Sequence[str] = (),
    ) -> None:
        """Ask for the records that agree in all `columns` with each of `rows` (canonical cells; None agrees with none).

        Args:
            columns: private columns; none: every record belongs to every row.
            summed: private columns of which each group's total and largest absolute values are wanted.
        """
        self.columns, self.summed, self._counting = tuple(columns), tuple(summed), counting
        self._vocabularies = []
        self._steps: list[NDArray[np.int64]] = []
        group = np.zeros(len(rows), np.int64)
        for place in range(len(self.columns)):
            labels = list(dict.fromkeys(row[place] for row in rows if row[place] is not None))
            index = {label: number for number, label in enumerate(labels)}
            code = np.array([index.get(row[place], -1) for row in rows], np.int64)
            joined = np.where((group < 0) | (code < 0), -1, group * max(1, len(labels)) + code)
            known = np.unique(joined[joined >= 0])
            group = np.where(joined < 0, -1, np.searchsorted(known, joined))
            self._vocabularies.append(Vocabulary([label for label in labels if label is not None], exact=True))
            self._steps.append(known)
        self._group = group
        groups = int(group.max(initial=-1)) + 1
        self._counts = np.zeros(groups, np.int64)
        self._totals = {name: np.zeros(groups) for name in self.summed}
        self._sizes = {name: np.zeros(groups) for name in self.summed}
        self._largest = {name: np.zeros((groups, counting.contributors)) for name in self.summed}
        self._units: list[set[float | str | None]] = [set() for _ in range(groups)]
        self._open = np.ones(groups, np.bool_)

    def update(self, chunk: Chunk) -> None:
        """Take in further records."""
        size = next(iter(chunk.values())).codes.size
        group = np.zeros(size, np.int64)
        for name, vocabulary, known in zip(self.columns, self._vocabularies, self._steps, strict=True):
            code = _codes(chunk[name], vocabulary)
            joined = np.where((group < 0) | (code < 0), -1, group * max(1, vocabulary.size) + code)
            place = np.searchsorted(known, joined).clip(0, max(0, known.size - 1))
            group = np.where(known[place] == joined, place, -1) if known.size else np.full(size, -1)
        found = np.flatnonzero(group >= 0)
        if not found.size:
            return
        self._counts += np.bincount(group[found], minlength=self._counts.size)
        if self._counting.unit is not None:
            self._count_units(group, found[self._open[group[found]]], chunk[self._counting.unit])
        for name in self.summed:
            values = np.nan_to_num(chunk[name].numbers[found])
            self._totals[name] += np.bincount(group[found], values, minlength=self._counts.size)
            self._sizes[name] += np.bincount(group[found], np.abs(values), minlength=self._counts.size)
            self._keep_largest(name, group[found], np.abs(values))

    def counts(self) -> NDArray[np.int64]:
        """The people or records of each row's group [rows]."""
        if self._counting.unit is None:
            return self._by_row(self._counts)
        return self._by_row(np.where(self._open, [len(units) for units in self._units], self._counts))

    def sums(self) -> list[Sums]:
        """What each summed column adds up to in each row's group."""
        return [
            Sums(
                name,
                self.counts(),
                self._by_row(self._totals[name]),
                self._by_row(self._sizes[name]),
                self._by_row(self._largest[name].sum(axis=1)),
            )
            for name in self.summed
        ]

    def _count_units(self, group: NDArray[np.int64], records: NDArray[np.int64], units: PrivateColumn) -> None:
        for place, unit in zip(group[records].tolist(), units.values_at(records), strict=True):
            self._units[place].add(unit)
        for place in np.unique(group[records]).tolist():
            self._open[place] = len(self._units[place]) < self._counting.minimum

    def _by_row(self, of_groups: NDArray[_Number]) -> NDArray[_Number]:
        return np.append(of_groups, np.zeros(1, of_groups.dtype))[self._group]

    def _keep_largest(self, name: str, group: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        kept = self._largest[name]
        groups = np.concatenate([group, np.repeat(np.arange(kept.shape[0]), kept.shape[1])])
        values = np.concatenate([values, kept.ravel()])
        order = np.lexsort((-values, groups))
        groups, values = groups[order], values[order]
        rank = np.arange(groups.size) - np.searchsorted(groups, groups)
        top = rank < kept.shape[1]
        kept[groups[top], rank[top]] = values[top]


def _codes(column: PrivateColumn, vocabulary: Vocabulary) -> NDArray[np.int64]:
    code = column.word_places(vocabulary)
    for places in vocabulary.numbers(column.numbers):
        code = np.where(places >= 0, places, code)
    return code
